"""The curves of the paper's Figure 8, and which cells they belong to."""

from __future__ import annotations

from typing import NamedTuple

from mcrelu.experiments.published import Paper


class Setting(NamedTuple):
    """What distinguishes a curve over the width from others."""

    event: str  # "kink": a pattern changed; "loss": the loss fell below the threshold
    data: str
    depth: int
    activation: str
    step_rule: str
    step_factor: float
    random_bias: bool


# The code behind Figure 8 applied each step twice, and its step was not the one that the paper
# states (docs/method.md), so its points are held against every combination of both.
_STEPS = [(rule, factor) for rule in ("inv_lambda_max", "published") for factor in (1.0, 2.0)]
_SERIES = {"kink": "kink", "loss": "mse"}

PAPER = Paper(
    package=__package__,
    series={
        Setting(event, "star-11", 1, "relu", rule, factor, random_bias=False): ("fig8", series)
        for event, series in _SERIES.items()
        for rule, factor in _STEPS
    },
    figures=("fig8",),
)

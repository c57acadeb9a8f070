"""The curves of the paper's Figures 5 and 6, and which cells they belong to."""

from __future__ import annotations

from typing import NamedTuple

from mcrelu.data import SQUARED
from mcrelu.experiments.crossing.cell import PLAIN
from mcrelu.experiments.published import Paper
from mcrelu.philox import MINIBATCH

STANDARD = "standard"  # the six points


class Setting(NamedTuple):
    """What distinguishes a series of widths from others."""

    offset: float
    optimizer: str
    init: str
    step_rule: str
    stop: str
    leaky_slope: float = 0.0
    data: str = STANDARD
    samples: str = str(SQUARED)
    minibatch: int = MINIBATCH
    input_scale: float = PLAIN.input
    output_scale: float = PLAIN.output


_SUFFICIENT = "crossing+sufficient"
_EARLY = "crossing+early_stopping"

PAPER = Paper(
    package=__package__,
    series={
        Setting(0.0, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig5", "GD"),
        Setting(0.0, "gd", "he", "inv_lambda_max", _EARLY): ("fig5", "GD,ES"),
        Setting(0.0, "sgd", "he", "inv_lambda_max", _EARLY): ("fig5", "SGD,ES"),
        Setting(0.0, "sgd", "he", "0.01/width", _EARLY): ("fig5", "SGD,ES,h=0.01/m"),
        Setting(0.01, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig6", "D=0.01"),
        Setting(0.1, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig6", "D=0.1"),
    },
    figures=("fig5", "fig6"),
)

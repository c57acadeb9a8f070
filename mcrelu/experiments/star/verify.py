"""Golden files of networks in R^d (docs/method.md 4).

The original trains in single precision by steps of 2 / |theta|^2 (its "lambda_max" is the squared
norm of the initial parameters, and it applies every step twice), at the edge of stability. Two
programs therefore part in the long run, and only what must be the same is compared strictly:
lambda_max, thresholds, and the first crossings of the first epochs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.protocol import Engine
from mcrelu.errors import ResourceError
from mcrelu.experiments.star.golden_file import LayeredFile
from mcrelu.problems.r_d import NEVER, Activation, Layers, Problem, State
from mcrelu.theory import backprop
from mcrelu.theory.ntk import (
    CANDIDATES,
    linear_step_size,
    published_lambda_max,
    relative_decrease,
)
from mcrelu.theory.rays import affine_threshold
from mcrelu.types import Floats, Ints
from mcrelu.verify.archive import Arrays

STEP_FACTOR = 2.0  # every step of the original is applied twice
VALUE_TOLERANCE = 1e-4  # relative: lambda_max and thresholds
ZERO_THRESHOLD = 1e-6  # below it, single precision's threshold is rounding
ON_GRID = 1e-3  # relative distance of a linear step size and its candidate
LINEAR_AGREEMENT = 0.85  # of linear step sizes that are equal or neighbouring candidates
VISIBLE = 1e-5  # relative: a loss that changes by less does so within 10 % of roundings of float32
EARLY = 50  # epochs within which first crossings must be equal
EARLY_AGREEMENT = 0.9  # of these crossings; one may always differ if there are
FORGIVEN_FROM = 4  # so many
LATE_WITHIN = 0.2  # relative: later first crossings are the same if they are so close
FATE_AGREEMENT = 0.75  # of networks that never cross, or do so at the same time
LOSS_TOLERANCE = 0.02  # median difference of final losses, in thresholds
LOSS_SIGNIFICANCE = 0.01  # of the Kolmogorov-Smirnov test of final losses


class LayeredAgreement(NamedTuple):
    """How far we agree with a golden file."""

    file: str
    networks: int
    activation: str
    lambda_error: float  # largest relative
    threshold_error: float  # largest relative
    same_linear: float | None  # fraction of linear step sizes that are ours or a neighbour of it
    linear_left_out: int  # of them, since single precision could not see the loss change
    early_crossings: int  # first crossings, of kinks and of losses, in the first epochs
    same_early: float | None  # fraction of them that is equal; None if there are none
    same_fate: float  # fraction of networks that never cross, or do so about when the file says
    loss_difference: float  # median difference of final losses, in thresholds
    loss_p_value: float  # Kolmogorov-Smirnov
    agrees: bool

    @property
    def measures(self) -> str:
        """What was compared, in words."""
        early = "none" if self.same_early is None else f"{self.same_early:.2%}"
        linear = "none" if self.same_linear is None else f"{self.same_linear:.2%}"
        left_out = f" ({self.linear_left_out} left out)" if self.linear_left_out else ""
        return (
            f"{self.activation}, lambda_max {self.lambda_error:.1e}, "
            f"threshold {self.threshold_error:.1e}, linear step {linear}{left_out}, "
            f"early crossings {early} of {self.early_crossings}, crossing {self.same_fate:.2%}, "
            f"loss {self.loss_difference:.1e} (p = {self.loss_p_value:.2f})"
        )


def verify(path: Path, golden: Arrays) -> LayeredAgreement | None:
    """As :func:`verify_layered`; None for a file that is not of networks in R^d."""
    of_layers = "init_0" in golden or "hidden" in golden
    return verify_layered(path, golden) if of_layers else None


def verify_layered(path: Path, golden: Arrays) -> LayeredAgreement:
    """Repeat the run that a golden file describes and compare.

    Raises
    ------
    UserError
        If the file lacks arrays, or their shapes do not fit.
    ResourceError
        If torch is not installed.
    """
    file = LayeredFile.of(path, golden)
    engine = _engine(path)
    activation, linear = _activation(file)
    lambda_max = published_lambda_max(file.layers)
    threshold = affine_threshold(file.x, file.y, file.p)
    step = STEP_FACTOR / lambda_max
    problem = Problem(file.x, file.y, file.p, step, threshold, activation)
    state, _ = engine.advance(problem, State.initial(file.layers), file.epochs)
    pairs = (
        (state.info.first_kink_change, file.first_kink_change),
        (state.info.first_loss_crossing, file.first_loss_crossing),
    )
    early = np.concatenate([_early(ours, theirs) for ours, theirs in pairs])
    same_fate = min(_same_fate(ours, theirs) for ours, theirs in pairs)
    difference, p_value = _losses(problem, state.layers, file.final_loss)
    lambda_error = float(np.abs(file.step_size * lambda_max - 1.0).max())
    threshold_error = float(
        (np.abs(threshold - file.threshold) / np.maximum(file.threshold, ZERO_THRESHOLD)).max()
    )
    return LayeredAgreement(
        file=str(path),
        networks=len(file.p),
        activation=activation,
        lambda_error=lambda_error,
        threshold_error=threshold_error,
        same_linear=linear.same,
        linear_left_out=linear.left_out,
        early_crossings=len(early),
        same_early=float(early.mean()) if len(early) else None,
        same_fate=same_fate,
        loss_difference=difference,
        loss_p_value=p_value,
        agrees=lambda_error <= VALUE_TOLERANCE
        and threshold_error <= VALUE_TOLERANCE
        and (linear.same is None or linear.same >= LINEAR_AGREEMENT)
        and _nearly_all(early)
        and same_fate >= FATE_AGREEMENT
        and difference <= LOSS_TOLERANCE
        and p_value >= LOSS_SIGNIFICANCE,
    )


def _engine(path: Path) -> Engine:
    try:
        from mcrelu.engines.r_d.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ResourceError(
            f"{path}: networks in R^d are trained by torch, which is not installed; "
            "pip install mcrelu[torch]"
        ) from None
    return TorchEngine("cpu", "float32")


class _Linear(NamedTuple):
    """How far linear step sizes agree."""

    same: float | None  # fraction, of those that can be compared
    left_out: int


def _activation(file: LayeredFile) -> tuple[Activation, _Linear]:
    """The activation that explains more of the linear step sizes, and how many it explains.

    Files do not name it.
    """
    explained: dict[Activation, _Linear] = {
        "relu": _same_linear(file, "relu"),
        "tanh": _same_linear(file, "tanh"),
    }
    best = max(explained, key=lambda activation: explained[activation].same or 0.0)
    return best, explained[best]


def _same_linear(file: LayeredFile, activation: Activation) -> _Linear:
    """Fraction of the file's linear step sizes that are our candidate or next to it.

    The original tries them with all points of equal weight, from the smallest up, in single
    precision. Where a step of the size at which it stopped, or of the first candidate if that is 0,
    lowers the loss by hardly more than its rounding, it was rounding that stopped it.
    """
    equal = np.full_like(file.p, 1.0 / len(file.x))
    ours = linear_step_size(file.layers, file.x, file.y, equal, activation, STEP_FACTOR)
    decrease = relative_decrease(file.layers, file.x, file.y, equal, activation)
    stopped_at = np.maximum(file.linear_step_size, CANDIDATES[0])
    visible = ~(STEP_FACTOR * stopped_at * decrease <= VISIBLE)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(file.linear_step_size / CANDIDATES[0])
    place = ratio / np.log(CANDIDATES[1] / CANDIDATES[0])
    near = np.clip(np.rint(np.nan_to_num(place)), 0, len(CANDIDATES) - 1).astype(np.int64)
    on_grid = np.abs(file.linear_step_size / CANDIDATES[near] - 1.0) <= ON_GRID
    found = np.searchsorted(CANDIDATES, np.nan_to_num(ours, nan=-np.inf))
    neighbours = (np.abs(near - found) <= 1) & ~np.isnan(ours)
    same = (on_grid & neighbours)[visible]
    return _Linear(float(same.mean()) if len(same) else None, int((~visible).sum()))


def _early(ours: Ints, theirs: Ints) -> Floats:
    """1 or 0 for first crossings within EARLY epochs in either run: whether they are equal."""
    early = [(first >= 0) & (first <= EARLY) for first in (ours, theirs)]
    return (ours == theirs)[early[0] | early[1]].astype(np.float64)


def _same_fate(ours: Ints, theirs: Ints) -> float:
    """Fraction of networks that cross in neither run, or in both within LATE_WITHIN."""
    crossed, expected = ours != NEVER, theirs != NEVER
    close = np.abs(ours - theirs) <= LATE_WITHIN * np.maximum(ours, theirs)
    return float(((crossed == expected) & (~crossed | close)).mean())


def _nearly_all(same: Floats) -> bool:
    different = len(same) - same.sum()
    forgiven = 1 if len(same) >= FORGIVEN_FROM else 0
    return bool(different <= max(forgiven, (1.0 - EARLY_AGREEMENT) * len(same)))


def _losses(problem: Problem, layers: Layers, theirs: Floats) -> tuple[float, float]:
    """Median difference in thresholds, and p value, of final losses."""
    from scipy.stats import ks_2samp  # slow to import

    hidden = backprop.hidden_outputs(layers, problem.x, problem.activation)
    ours = backprop.loss(problem.p, backprop.outputs(layers, hidden) - problem.y)
    scale = np.maximum(problem.threshold, ZERO_THRESHOLD)
    difference = np.abs(ours - theirs) / scale
    difference[np.isnan(difference)] = np.inf
    difference[~np.isfinite(ours) & ~np.isfinite(theirs)] = 0.0  # both diverged
    finite = [np.nan_to_num(loss, nan=np.inf) for loss in (ours, theirs)]
    return float(np.median(difference)), float(ks_2samp(*finite).pvalue)

"""What the columns of the crossing experiment mean."""

from __future__ import annotations

from mcrelu.experiments.base import CELLS
from mcrelu.experiments.columns import NETWORK, Codes, Column, Columns, interval_columns
from mcrelu.experiments.crossing.tables import (
    CERTIFICATION,
    CROSSING,
    MOST_UNFINISHED,
    PERCENTAGES,
    POWER_LAWS,
    percentile_column,
)
from mcrelu.problems.one_d import MEANINGS, StopReason
from mcrelu.stats.intervals import LEVEL

_OFFSET = Column("added to all targets", "of y")
_OPTIMIZER = Column("`gd`, `sgd` or `adam`")
_INIT = Column("`he`, or `swapped` variances")
_STEP_RULE = Column("`inv_lambda_max`, or a constant over the width")
_LEAKY_SLOPE = Column("slope of the activation on its inactive side; 0 is ReLU")
_WIDTH = Column("hidden neurons n")
_ENGINE = Column("`grouped` or `dense`")

ROWS: Columns = {
    **NETWORK,
    "width": _WIDTH,
    "offset": _OFFSET,
    "optimizer": _OPTIMIZER,
    "step_rule": _STEP_RULE,
    "init": _INIT,
    "leaky_slope": _LEAKY_SLOPE,
    "engine": _ENGINE,
    "status": Column("why training ended: a status code, see below"),
    "stop_iteration": Column("step of the check that stopped it", "steps"),
    "first_crossing": Column(
        "first step at which a kink had reached a data point; null if none did", "steps"
    ),
    "max_kink": Column(
        "largest |b/a| so far, over neurons and steps",
        "distance of the nearest data point on the side of the kink",
    ),
    "step_size": Column("step size h"),
    "training_loss": Column("½ Σ p (f - y)² over the points when it stopped", "of y²"),
    "validation_loss": Column("Σ v (f - y)² over the points when it stopped", "of y²"),
}

CODES: Codes = {"status": MEANINGS}

_SETTING: Columns = {
    "offset": _OFFSET,
    "optimizer": _OPTIMIZER,
    "init": _INIT,
    "step_rule": _STEP_RULE,
    "stop": Column("the stopping criteria, joined by +"),
    "leaky_slope": _LEAKY_SLOPE,
    "data": Column("`standard`, or number and digest of the user's own points"),
    "samples": Column("rule for the sample size N of a network of width n"),
    "minibatch": Column("draws per step of sgd and adam"),
    "input_scale": Column("factor of the standard deviation of input weights a"),
    "output_scale": Column("factor of the standard deviation of output weights w"),
}

_COUNTS: Columns = {
    reason.name.lower(): Column(f"with status {reason.value}, {reason.name}", "networks")
    for reason in StopReason
}

_PERCENTILES: Columns = {
    percentile_column(kind, level): Column(f"{level}th percentile of the steps {what}", "steps")
    for kind, what in (
        (CROSSING, "at which those that crossed did; null if none did"),
        (CERTIFICATION, "of the checks that proved others never to cross; null if none was"),
    )
    for level in PERCENTAGES
}

_P = "the estimate"

TABLES: dict[str, Columns] = {
    CELLS: {
        "cell": NETWORK["cell"],
        "width": _WIDTH,
        **_SETTING,
        "engine": _ENGINE,
        "networks": Column("that count: those of complete blocks", "networks"),
        **_COUNTS,
        "k_low": Column("that crossed", "networks"),
        "k_high": Column(
            "that may cross: all but those locally converged or early stopped", "networks"
        ),
        **_PERCENTILES,
        "estimate": Column("P(crossing possible) = `k_high` / `networks`"),
        "standard_error": Column("Monte Carlo standard error of the estimate"),
        **interval_columns("", _P),
        "sequence_low": Column(f"lower end of the confidence sequence of {_P}, at 95 %"),
        "sequence_high": Column("its upper end"),
        "relative_width": Column(
            "width of the confidence sequence over the estimate; null where that is 0"
        ),
        "relative_width_wanted": Column("what the spec asks for; null if it asks for none"),
    },
    POWER_LAWS: {
        **_SETTING,
        "amplitude": Column(
            "A of the law P = A / n^c fitted to the estimates of a series of widths"
        ),
        "exponent": Column("c of this law"),
        "exponent_low": Column("lower end of the profile-likelihood interval of c"),
        "exponent_high": Column("its upper end"),
        "level": Column(f"of this interval: {LEVEL:g}"),
        "deviance": Column("of the fit; χ² with `points` - 2 degrees of freedom if the law holds"),
        "points": Column(
            f"in the fit; those with more than {100.0 * MOST_UNFINISHED:g} % unfinished are not",
            "widths",
        ),
        "p_value": Column("of the deviance; null with two points. Below 0.001 there is no law"),
    },
}

"""What a golden file of the one-dimensional experiment must hold: options, results, shapes."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from mcrelu.data import standard_points
from mcrelu.errors import UserError
from mcrelu.problems.one_d import StopReason
from mcrelu.verify.archive import Arrays, Checked, require

_LEAST = {"n_parallel": 1, "n_hidden": 1, "seed": 0, "max_checks": 1, "steps_per_check": 1}
_SEEDS = 2**32  # of numpy's legacy generator
_FLAGS = (
    "use_sgd", "use_adam", "use_early_stopping", "use_sufficient_stopping", "use_small_lr",
    "swap_variances",
)  # fmt: skip


def check_crossing_file(path: Path, golden: Arrays) -> None:
    """Refuse a file that is not one run of the original with all of its results.

    Raises
    ------
    UserError
        If something is missing, has another shape than the options imply, or is not finite.
    """
    require(path, golden, ("offset", *_FLAGS))
    checked = Checked(path, golden)
    option = {key: int(checked.whole(key, ())) for key in _LEAST}
    for key, least in _LEAST.items():
        if option[key] < least or (key == "seed" and option[key] >= _SEEDS):
            raise _damaged(path, key, golden[key])
    for key in _FLAGS:
        if golden[key].shape != () or golden[key] not in (False, True):
            raise _damaged(path, key, golden[key])
    if not _is_number(str(golden["offset"])):
        raise _damaged(path, "offset", golden["offset"])
    networks, width = option["n_parallel"], option["n_hidden"]
    points = len(standard_points().x)
    status = checked.whole("status", (networks,))
    if not set(status.tolist()) <= set(StopReason):
        raise _damaged(path, "status", status.max())
    checked.whole("stop_iteration", (networks,))
    checked.floats("max_kink", (networks,))
    checked.floats("lrs", (networks,))
    checked.floats("x_weights", (networks, points))
    checked.floats("val_x_weights", (networks, points))
    stored = len(checked.floats("c_final", (None,)))
    if stored > networks:
        raise _damaged(path, "length of c_final", stored)
    for key in ("a_final", "b_final", "w_final"):
        checked.floats(key, (stored, width))


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _damaged(path: Path, key: str, value: object) -> UserError:
    shown = " ".join(str(value).split())
    return UserError(
        f"{path}: {key} = {shown} is impossible; the file is damaged, give another copy"
    )

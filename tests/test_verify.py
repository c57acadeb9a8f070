"""Golden results of the original, and that tampering with them is seen."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.errors import UserError
from mcrelu.experiments.crossing.consistency import contradicted
from mcrelu.experiments.crossing.train import train
from mcrelu.experiments.crossing.verify import (
    PARAMETER_TOLERANCE,
    STATUS_AGREEMENT,
    Agreement,
    _Batch,
)
from mcrelu.problems.one_d import StopReason
from mcrelu.verify import verify_file

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("adam", "gd", "sgd")
FILES = sorted(path for kind in KINDS for path in GOLDEN.glob(f"{kind}_*.npz"))
SMALL = GOLDEN / "gd_swap_n16.npz"  # 128 networks of the quickest kind, two with parameters
LARGE = GOLDEN / "gd_n4_degenerate.npz"  # 512 networks
OPTIONS = (
    "n_parallel", "n_hidden", "seed", "offset", "use_sgd", "use_adam", "use_early_stopping",
    "use_sufficient_stopping", "use_small_lr", "swap_variances", "max_checks", "steps_per_check",
)  # fmt: skip
RESULTS = (
    "status", "stop_iteration", "max_kink", "lrs", "x_weights", "val_x_weights",
    "a_final", "b_final", "c_final", "w_final",
)  # fmt: skip


def content(path: Path = SMALL) -> dict[str, Any]:
    with np.load(path) as archive:
        return {key: archive[key].copy() for key in archive.files}


def verify_copy(folder: Path, changed: dict[str, Any]) -> Agreement:
    copy = folder / "copy.npz"
    np.savez(copy, **changed)
    agreement = verify_file(copy)
    assert isinstance(agreement, Agreement)
    return agreement


# ---------------------------------------------------------------------------- golden files


def test_there_are_golden_files_of_every_kind() -> None:
    assert {path.stem.split("_")[0] for path in FILES} == set(KINDS)
    assert len(FILES) >= 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_file_agrees(path: Path) -> None:
    agreement = verify_file(path)
    assert agreement.agrees, agreement
    assert agreement.file == str(path)
    assert agreement.networks == len(content(path)["status"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_largest_kinks_are_those_of_the_golden_file(path: Path) -> None:
    """Of networks that did not cross: one that did may have any kink, b / 0 included."""
    golden, batch = content(path), _Batch.of(content(path))
    stream = None if batch.problem.optimizer == "gd" else batch.draws.minibatches
    outcome = train(
        DenseEngine(), batch.problem, batch.validation, batch.criteria, batch.checks, stream
    )
    inside = golden["status"] != StopReason.CROSSED
    assert inside.any()
    # Some 10^5 steps of one program and another, with sums in different orders.
    np.testing.assert_allclose(
        outcome.max_kink[inside], golden["max_kink"][inside], rtol=PARAMETER_TOLERANCE
    )


def test_untouched_copy_agrees(tmp_path: Path) -> None:
    """What the tests below change is what makes the difference."""
    assert verify_copy(tmp_path, content()).agrees


# ------------------------------------------------------------------------------- tampering


def test_one_wrong_status_disagrees(tmp_path: Path) -> None:
    changed = content()
    row = np.flatnonzero(changed["status"] == StopReason.LOCALLY_CONVERGED)[-1]
    changed["status"][row] = StopReason.CROSSED
    agreement = verify_copy(tmp_path, changed)
    assert not agreement.agrees
    assert agreement.same_status == 127 / 128
    assert (agreement.same_samples, agreement.same_stop) == (1.0, 1.0)


@pytest.mark.parametrize("status", StopReason)
def test_a_status_that_the_file_contradicts_is_found_in_any_network(status: StopReason) -> None:
    """Where 0.2 % may differ one of 512 would pass; the file has all statuses but two."""
    golden = content(LARGE)
    batch, truth = _Batch.of(golden), golden["status"].copy()
    a = batch.problem.weights.rows(np.arange(len(truth))).a
    assert not contradicted(golden, batch.problem.points, a, truth).any()
    golden["status"][:] = status
    found = contradicted(golden, batch.problem.points, a, truth)
    assert np.array_equal(found, truth != status)


def test_one_wrong_status_of_512_disagrees(tmp_path: Path) -> None:
    changed = content(LARGE)
    row = np.flatnonzero(changed["status"] == StopReason.LOCALLY_CONVERGED)[-1]
    changed["status"][row] = StopReason.A_DEGENERATE
    agreement = verify_copy(tmp_path, changed)
    assert agreement.same_status == 511 / 512 > STATUS_AGREEMENT
    assert agreement.contradictions == 1
    assert not agreement.agrees


def test_one_wrong_stop_iteration_disagrees(tmp_path: Path) -> None:
    changed = content()
    changed["stop_iteration"][3] += 1000
    agreement = verify_copy(tmp_path, changed)
    assert not agreement.agrees
    assert agreement.same_stop == 127 / 128


def test_step_size_off_by_a_billionth_disagrees(tmp_path: Path) -> None:
    changed = content()
    changed["lrs"][5] *= 1 + 1e-9
    agreement = verify_copy(tmp_path, changed)
    assert not agreement.agrees
    assert agreement.step_size_error == pytest.approx(1e-9, rel=1e-3)


@pytest.mark.parametrize("key", ["x_weights", "val_x_weights"])
def test_one_wrong_sample_disagrees(tmp_path: Path, key: str) -> None:
    changed = content()
    changed[key][7, :2] += [1 / 4096, -1 / 4096]
    agreement = verify_copy(tmp_path, changed)
    assert not agreement.agrees
    assert agreement.same_samples == 127 / 128


@pytest.mark.parametrize("key", ["a_final", "b_final", "c_final", "w_final"])
def test_wrong_final_parameters_disagree(tmp_path: Path, key: str) -> None:
    changed = content()
    stored = changed["status"][: len(changed[key])] == StopReason.LOCALLY_CONVERGED
    row = np.flatnonzero(stored)[0]
    changed[key][row] *= 1 + 1e-7
    agreement = verify_copy(tmp_path, changed)
    assert not agreement.agrees
    assert agreement.parameter_error == pytest.approx(1e-7, rel=1e-3)


@pytest.mark.parametrize("key", ["a_final", "b_final", "c_final", "w_final"])
def test_parameters_of_nan_disagree(tmp_path: Path, key: str) -> None:
    changed = content()
    changed[key][:] = np.nan
    assert not verify_copy(tmp_path, changed).agrees


def uncrossed(golden: dict[str, Any]) -> int:
    return int(np.flatnonzero(golden["status"] != StopReason.CROSSED)[-1])


@pytest.mark.parametrize("factor", [1 + 1e-7, 0.5, np.nan])
def test_one_wrong_kink_disagrees(tmp_path: Path, factor: float) -> None:
    changed = content()
    changed["max_kink"][uncrossed(changed)] *= factor
    agreement = verify_copy(tmp_path, changed)
    assert not agreement.agrees
    assert agreement.kink_error == pytest.approx(abs(factor - 1), rel=1e-3, nan_ok=True)
    assert agreement.same_status == 1.0


def test_kinks_of_crossed_networks_are_not_compared(tmp_path: Path) -> None:
    changed = content()
    changed["max_kink"][changed["status"] == StopReason.CROSSED] = np.inf
    assert verify_copy(tmp_path, changed).agrees


def test_a_network_that_may_stop_elsewhere_may_have_another_kink(tmp_path: Path) -> None:
    changed = content(LARGE)
    row = uncrossed(changed)
    changed["max_kink"][row] *= 0.999
    assert not verify_copy(tmp_path, changed).agrees
    changed["stop_iteration"][row] += 1000
    assert verify_copy(tmp_path, changed).agrees


@pytest.mark.parametrize(("key", "value"), [("seed", 105), ("offset", "0.1"), ("max_checks", 1)])
def test_another_option_disagrees(tmp_path: Path, key: str, value: Any) -> None:
    assert not verify_copy(tmp_path, content() | {key: np.array(value)}).agrees


# -------------------------------------------------------------------------- unusable files


def assert_one_line(path: Path) -> str:
    """The error is the user's to mend: one line that names the file."""
    with pytest.raises(UserError) as caught:
        verify_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("key", [*OPTIONS, *RESULTS])
def test_missing_key(tmp_path: Path, key: str) -> None:
    path = tmp_path / "lacks.npz"
    np.savez(path, **{name: value for name, value in content().items() if name != key})
    assert key in assert_one_line(path)


UNUSABLE = {
    "empty": b"",
    "text": b"status,stop_iteration\n0,1000\n",
    "several lines": b"one\ntwo\n\nthree\n" * 100,
    "pickle": b"\x80\x04N.",
    "zip magic only": b"PK\x03\x04" + bytes(50),
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_not_an_npz_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(data)
    assert_one_line(path)


def test_a_single_array(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    np.save(path, np.arange(6.0))
    assert_one_line(path)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, **(content() | {"status": np.array([{"code": 3}], dtype=object)}))
    assert_one_line(path)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_truncated_file(tmp_path: Path, fraction: float) -> None:
    data = SMALL.read_bytes()
    path = tmp_path / "torn.npz"
    path.write_bytes(data[: int(len(data) * fraction)])
    assert_one_line(path)


def test_damaged_file(tmp_path: Path) -> None:
    """Stretches of other bytes anywhere, the directory at the end intact."""
    path = tmp_path / "damaged.npz"
    for start in range(100, SMALL.stat().st_size - 3000, 500):
        data = bytearray(SMALL.read_bytes())
        data[start : start + 64] = bytes(255 - byte for byte in data[start : start + 64])
        path.write_bytes(data)
        assert_one_line(path)


def test_missing_file(tmp_path: Path) -> None:
    assert_one_line(tmp_path / "nowhere.npz")


def test_folder(tmp_path: Path) -> None:
    assert_one_line(tmp_path)


@pytest.mark.parametrize("key", ["status", "stop_iteration", "lrs", "x_weights"])
def test_arrays_of_another_length(tmp_path: Path, key: str) -> None:
    path = tmp_path / "short.npz"
    changed = content()
    np.savez(path, **(changed | {key: changed[key][:-1]}))
    assert_one_line(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_hidden", 17),
        ("n_hidden", 0),
        ("n_parallel", 127),
        ("n_parallel", -128),
        ("n_parallel", 1.5),
        ("seed", "abc"),
        ("seed", -1),
        ("seed", 2**32),
        ("offset", "far"),
        ("offset", "nan"),
        ("max_checks", "many"),
        ("max_checks", [10, 10]),
        ("steps_per_check", 0),
        ("use_sgd", "yes"),
        ("use_adam", [True, False]),
        ("swap_variances", 2),
        ("status", np.full(128, 9)),
        ("status", np.full(128, "crossed")),
        ("stop_iteration", np.full(128, 0.5)),
        ("max_kink", np.full(128, "far")),
        ("lrs", np.ones((128, 2))),
        ("x_weights", np.full((128, 5), 0.2)),
        ("a_final", np.ones((2, 15))),
        ("a_final", np.full((2, 16), "a")),
        ("c_final", np.ones(200)),
    ],
    ids=lambda value: str(np.ravel(value)[0]),
)
def test_contents_that_do_not_fit(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **(content() | {key: np.array(value)}))
    assert "the file is damaged" in assert_one_line(path)


def test_torn_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "torn.npz"
    path.write_bytes(SMALL.read_bytes()[:-100])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(UserError):
            verify_file(path)
        gc.collect()
    assert [warning.category for warning in caught] == []

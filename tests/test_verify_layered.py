"""Golden results of networks in R^d, and that tampering with them is seen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcrelu.errors import ExitCode, ResourceError, UserError
from mcrelu.experiments.star.verify import EARLY, LayeredAgreement
from mcrelu.problems.r_d import Layer
from mcrelu.verify import verify_file

GOLDEN = Path(__file__).parent / "golden"
STAR = GOLDEN / "star11_n128.npz"
DEEP = GOLDEN / "default_3layer_n16.npz"
EPOCHS = 60  # of the shortened copies: the golden ones have 2000, most of it after the early ones

Change = Callable[[dict[str, Any]], object]


def content(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {key: archive[key].copy() for key in archive.files}


def verify_copy(folder: Path, changed: dict[str, Any]) -> LayeredAgreement:
    copy = folder / "copy.npz"
    np.savez(copy, **changed)
    agreement = verify_file(copy)
    assert isinstance(agreement, LayeredAgreement)
    return agreement


@pytest.mark.parametrize("path", [STAR, DEEP], ids=lambda path: path.stem)
def test_golden_file_agrees(path: Path) -> None:
    pytest.importorskip("torch")
    agreement = verify_file(path)
    assert isinstance(agreement, LayeredAgreement)
    assert agreement.agrees, agreement
    assert (agreement.file, agreement.networks) == (str(path), len(content(path)["lrs"]))
    assert agreement.activation == "relu"
    assert (agreement.same_early, agreement.same_linear) == (1.0, 1.0)
    assert agreement.early_crossings >= 6


# ------------------------------------------------------------------------------- tampering


@pytest.fixture(scope="module", params=[STAR, DEEP], ids=lambda path: path.stem)
def short(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A golden file cut to its first epochs, with the final losses that belong to them."""
    pytest.importorskip("torch")
    from mcrelu.engines.r_d.torch_engine import TorchEngine
    from mcrelu.experiments.star.golden_file import LayeredFile
    from mcrelu.problems.r_d import NEVER, Problem, State
    from mcrelu.theory import backprop

    golden = content(request.param) | {"epochs": np.array(EPOCHS)}
    for key in ("kink_first_crossed", "mse_first_crossed"):
        golden[key][golden[key] > EPOCHS] = NEVER
    file = LayeredFile.of(request.param, golden)
    problem = Problem(file.x, file.y, file.p, 2.0 * file.step_size, file.threshold)
    state, _ = TorchEngine().advance(problem, State.initial(file.layers), EPOCHS)
    outputs = backprop.outputs(state.layers, backprop.hidden_outputs(state.layers, file.x, "relu"))
    return golden | {"final_mse": backprop.loss(file.p, outputs - file.y)}


def scale(key: str, factor: float) -> Change:
    return lambda golden: golden[key].__imul__(golden[key].dtype.type(factor))


def shift(key: str, epochs: int) -> Change:
    def change(golden: dict[str, Any]) -> None:
        golden[key][golden[key] >= 0] += epochs

    return change


def assign(key: str, value: float) -> Change:
    return lambda golden: golden[key].__setitem__(slice(None), value)


TAMPERED = {
    "step sizes": scale("lrs", 1.01),
    "one step size": lambda golden: golden["lrs"][:1].__imul__(np.float32(1.001)),
    "one threshold": lambda golden: golden["lin_thresholds"][-1:].__imul__(np.float32(1.001)),
    "thresholds of nan": assign("lin_thresholds", np.nan),
    "linear step sizes": scale("lin_lrs", 1.01),
    "linear step sizes by two candidates": scale("lin_lrs", 10 ** (12 / 199)),
    "kinks an epoch later": shift("kink_first_crossed", 1),
    "no kinks": assign("kink_first_crossed", -1),
    "losses all below": assign("mse_first_crossed", 55),
    "final losses": scale("final_mse", 1.5),
    "final losses of nan": assign("final_mse", np.nan),
    "first weights": scale("init_0", 1.01),
    "targets": scale("y", 1.1),
}


def test_untouched_copy_agrees(tmp_path: Path, short: dict[str, Any]) -> None:
    """What the tests below change is what makes the difference."""
    assert verify_copy(tmp_path, short).agrees


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_tampered_copy_disagrees(tmp_path: Path, short: dict[str, Any], change: Change) -> None:
    changed = {key: value.copy() for key, value in short.items()}
    change(changed)
    assert not verify_copy(tmp_path, changed).agrees


def test_later_crossings_are_compared_roughly(tmp_path: Path) -> None:
    """In a golden file at its full length: some per cent later agrees, twice as late does not."""
    pytest.importorskip("torch")
    golden = content(DEEP)
    late = golden["mse_first_crossed"] > EARLY
    assert late.sum() >= 5
    for factor, agrees in ((1.05, True), (2.0, False)):
        changed = golden["mse_first_crossed"].copy()
        changed[late] = factor * changed[late]
        agreement = verify_copy(tmp_path, golden | {"mse_first_crossed": changed})
        assert agreement.agrees == agrees
        assert agreement.same_early == 1.0


def test_one_network_may_differ(tmp_path: Path, short: dict[str, Any]) -> None:
    """Single precision on another machine may do that, at the edge of stability."""
    changed = {key: value.copy() for key, value in short.items()}
    changed["kink_first_crossed"][-1] += 1
    agreement = verify_copy(tmp_path, changed)
    assert agreement.agrees
    assert agreement.same_early is not None
    assert agreement.same_early < 1.0


def test_activation_is_found_out(tmp_path: Path, short: dict[str, Any]) -> None:
    from mcrelu.experiments.star.golden_file import LayeredFile
    from mcrelu.theory.ntk import linear_step_size

    file = LayeredFile.of(tmp_path, short)
    equal = np.full_like(file.p, 1.0 / len(file.x))
    steps = linear_step_size(file.layers, file.x, file.y, equal, "tanh", 2.0)
    agreement = verify_copy(tmp_path, short | {"lin_lrs": steps})
    assert (agreement.activation, agreement.same_linear) == ("tanh", 1.0)


@pytest.mark.parametrize(("size", "left_out"), [(0.45, 3), (1.0, 0)])
def test_what_single_precision_could_not_see_is_left_out(size: float, left_out: int) -> None:
    """Gradients of small weights are small: the first candidates change no digit of the loss."""
    from mcrelu.experiments.star.golden_file import LayeredFile
    from mcrelu.experiments.star.verify import _same_linear
    from mcrelu.theory.ntk import linear_step_size

    file = LayeredFile.of(DEEP, content(DEEP))
    layers = tuple(Layer(*(size * part for part in layer)) for layer in file.layers)
    equal = np.full_like(file.p, 1.0 / len(file.x))
    steps = linear_step_size(layers, file.x, file.y, equal, "relu", 2.0)
    steps[:3] = (0.0, 1e-6, 0.0)
    linear = _same_linear(file._replace(layers=layers, linear_step_size=steps), "relu")
    assert linear.left_out == left_out
    assert linear.same == (1.0 if left_out else 1.0 - 3 / 16)


def test_how_many_were_left_out_is_said(tmp_path: Path, short: dict[str, Any]) -> None:
    agreement = verify_copy(tmp_path, short)
    assert agreement.linear_left_out == 0
    assert "left out" not in agreement.measures
    assert "linear step 100.00% (2 left out)" in agreement._replace(linear_left_out=2).measures
    none = agreement._replace(linear_left_out=8, same_linear=None)
    assert "linear step none (8 left out)" in none.measures


# -------------------------------------------------------------------------- unusable files


def assert_one_line(path: Path, word: str) -> None:
    with pytest.raises(UserError) as caught:
        verify_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert word in message
    assert "\n" not in message


@pytest.mark.parametrize("key", [key for key in content(STAR) if key != "hidden"])
def test_missing_key(tmp_path: Path, key: str) -> None:
    path = tmp_path / "lacks.npz"
    np.savez(path, **{name: value for name, value in content(STAR).items() if name != key})
    assert_one_line(path, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lrs", np.ones(7)),
        ("x", np.ones(33)),
        ("y", np.ones((33, 1))),
        ("hidden", np.array([64])),
        ("hidden", np.array([128, 128])),
        ("hidden", np.array([128.0])),
        ("epochs", np.array(0)),
        ("epochs", np.array("many")),
        ("init_2", np.ones((8, 1, 128))),
        ("sample_weights", np.ones((8, 33))),
        ("kink_first_crossed", np.full(8, np.nan)),
        ("final_mse", np.full(8, "low")),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **(content(STAR) | {key: value}))
    assert_one_line(path, "the file is damaged" if key != "hidden" else "")


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "torn.npz"
    path.write_bytes(STAR.read_bytes()[:-200])
    assert_one_line(path, "is damaged")


def test_without_torch_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mcrelu.engines.r_d.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ResourceError, match=r"pip install mcrelu\[torch\]") as caught:
        verify_file(STAR)
    assert caught.value.exit_code == ExitCode.RESOURCES
    assert "\n" not in str(caught.value)

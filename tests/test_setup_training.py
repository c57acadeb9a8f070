"""Networks of the setups experiment: how they are drawn, trained, judged and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from minibatch_problems import chosen, mean_squares, orders
from minibatch_problems import train as plainly_trained
from setup_sweeps import setup_cells, setup_sweep

from mcrelu.distributions import draw
from mcrelu.engines.minibatch.registry import get_engine
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.setups.block import do
from mcrelu.experiments.setups.cell import JUDGING_POINTS, SetupCell
from mcrelu.experiments.setups.draws import Start, start_of
from mcrelu.experiments.setups.rows import setup_rows
from mcrelu.experiments.setups.schema import METRICS
from mcrelu.experiments.setups.training import NEVER, Judged, train
from mcrelu.problems.regression import Networks, Problem
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Provenance
from mcrelu.sweep.sweep import Sweep
from mcrelu.types import Array, Bools, Floats, Ints

RULES = ("sgd", "momentum", "adam")
RATES = {"sgd": 0.05, "momentum": 0.02, "adam": 0.03}
STREAMS = 6  # of each network: three samples, inner weights, biases, outer weights
CASES = [("piecewise", "ex"), ("fused", "radial-2")]
each_case = pytest.mark.parametrize(("engine", "data"), CASES)


def cell_of(*, lists: dict[str, Any] | None = None, **changes: Any) -> SetupCell:
    (cell,) = setup_cells(setup_sweep(lists=lists, **changes))
    return cell


def provenance_of(**changes: Any) -> Provenance:
    sweep = setup_sweep(**changes)
    return sweep.provenance(sweep.cells[0])


def start_with(cell: SetupCell, networks: Sequence[int] = range(4), **changes: Any) -> Start:
    return start_of(cell, provenance_of(**changes), np.array(networks))


def arrays_of(start: Start) -> list[Array]:
    samples = [part for sample in start.problem.samples for part in sample]
    return [*samples, *start.networks, start.scales.y_deviation, start.bayes_rmse]


# --------------------------------------------------------------------------------- draws


def test_samples_are_standardised_by_the_training_points() -> None:
    start = start_with(cell_of(lists={"data": ["radial-3"]}))
    x, y = start.problem.samples.train
    assert np.abs(x.mean(axis=1)).max() < 1e-13
    assert np.abs(x.std(axis=1, ddof=1) - 1.0).max() < 1e-13
    assert np.abs(y.mean(axis=1)).max() < 1e-13
    assert np.abs(y.std(axis=1, ddof=1) - 1.0).max() < 1e-13
    # Of 16 points the divisor 16 would show; the other samples are not standardised by themselves.
    assert np.abs(y.std(axis=1) - 1.0).min() > 0.03
    for sample in (start.problem.samples.valid, start.problem.samples.test):
        assert np.abs(sample.y.std(axis=1, ddof=1) - 1.0).min() > 1e-3


@pytest.mark.parametrize("data", ["ex", "radial-3"])
def test_draws_are_those_of_the_streams_of_a_network(data: str) -> None:
    """In units of the distribution: seed, stream of the cell and network decide, nothing else."""
    cell = cell_of(lists={"data": [data], "bias_init": ["unif"]})
    start = start_with(cell, [0, 3])
    for row, network in enumerate((0, 3)):
        root = np.random.SeedSequence(5, spawn_key=(cell.stream, network))
        streams = [np.random.Generator(np.random.Philox(one)) for one in root.spawn(STREAMS)]
        sizes = (16, JUDGING_POINTS, JUDGING_POINTS)
        drawn = [draw(data, one, size) for one, size in zip(streams[:3], sizes, strict=True)]
        mean, deviation = drawn[0].y.mean(), drawn[0].y.std(ddof=1)
        x_mean, x_deviation = drawn[0].x.mean(axis=0), drawn[0].x.std(axis=0, ddof=1)
        assert start.scales.y_deviation[row] == deviation
        for sample, raw in zip(start.problem.samples, drawn, strict=True):
            assert np.allclose(sample.y[row] * deviation + mean, raw.y, rtol=0, atol=1e-13)
            assert np.allclose(sample.x[row] * x_deviation + x_mean, raw.x, rtol=0, atol=1e-13)
        assert start.bayes_rmse[row] == pytest.approx(np.sqrt((drawn[2].noise ** 2).mean()))
        d, n = cell.inputs, cell.width
        a, w = streams[3].standard_normal((d, n)), streams[5].standard_normal(n)
        assert np.array_equal(start.networks.a[row], np.sqrt(2 / d) * a)
        assert np.array_equal(start.networks.w[row], np.sqrt(2 / n) * w)
        bound = np.sqrt(6.0)
        assert np.array_equal(start.networks.b[row], streams[4].uniform(-bound, bound, n))


def test_draws_do_not_depend_on_the_block() -> None:
    cell = cell_of(lists={"bias_init": ["kink-neg-point"]})
    together = arrays_of(start_with(cell))
    for network in range(4):
        alone = arrays_of(start_with(cell, [network], block_size=1))
        for one, other in zip(alone, together, strict=True):
            assert np.array_equal(one[0], other[network])


def test_networks_have_draws_of_their_own() -> None:
    start = start_with(cell_of(lists={"bias_init": ["unif"]}))
    for part in arrays_of(start):
        flat = part.reshape(4, -1)
        if flat.any():  # c is zero
            assert len(np.unique(flat, axis=0)) == 4
    samples = start.problem.samples
    assert not np.intersect1d(samples.valid.x, samples.test.x).size
    assert not np.intersect1d(samples.train.x, samples.test.x).size


def test_ways_to_train_share_draws_unless_they_should_not() -> None:
    def draws(rate: float, *, shared: bool) -> tuple[list[Array], tuple[int, int]]:
        cell = cell_of(lists={"learning_rate": [rate]}, common_random_numbers=shared)
        start = start_with(cell)
        return arrays_of(start)[:8], start.problem.shuffles.key

    one, key = draws(0.1, shared=True)
    other, other_key = draws(0.2, shared=True)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert key == other_key
    one, key = draws(0.1, shared=False)
    other, other_key = draws(0.2, shared=False)
    assert not any(np.array_equal(a, b) for a, b in zip(one[:7], other[:7], strict=True))
    assert key != other_key


def test_seeds_matter() -> None:
    cell = cell_of()
    one, other = start_with(cell), start_with(cell, seed=6)
    assert not np.array_equal(one.problem.samples.train.x, other.problem.samples.train.x)
    assert one.problem.shuffles.key != other.problem.shuffles.key


# ------------------------------------------------------------------- the loop, by a plain one


class History(NamedTuple):
    """Mean squared errors after each epoch, (epochs, m)."""

    train: Floats
    valid: Floats
    test: Floats


def plain_history(start: Start, epochs: int) -> History:
    errors = []
    with np.errstate(all="ignore"):
        for epoch in range(1, epochs + 1):
            nets = plainly_trained(start.problem, start.networks, epoch)
            errors.append([mean_squares(nets, one) for one in start.problem.samples])
    return History(*(np.array(part) for part in zip(*errors, strict=True)))


def torch_history(cell: SetupCell, start: Start, epochs: int) -> History:
    """By autograd and torch's optimisers, with the factors of NTK where they belong."""
    torch = pytest.importorskip("torch")
    s1, s2 = 1.0, 1.0
    if cell.parametrization == "ntk":
        s1, s2 = np.sqrt(2 / cell.inputs), np.sqrt(2 / cell.width)
    a, b, w, c = (
        torch.tensor(part, requires_grad=True)
        for part in (
            start.networks.a / s1, start.networks.b, start.networks.w / s2, start.networks.c,
        )
    )  # fmt: skip
    optimizer = {
        "sgd": lambda p: torch.optim.SGD(p, lr=cell.learning_rate),
        "momentum": lambda p: torch.optim.SGD(p, lr=cell.learning_rate, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=cell.learning_rate),
    }[cell.optimizer]([a, b, w, c])

    def losses(x: Array, y: Array) -> Any:
        hidden = torch.relu(s1 * torch.bmm(torch.tensor(x), a) + b[:, None])
        f = s2 * torch.bmm(hidden, w[:, :, None])[:, :, 0] + c[:, None]
        return ((f - torch.tensor(y)) ** 2).mean(dim=1)

    x, y = start.problem.samples.train
    every, found = np.arange(len(y))[:, None], []
    for epoch in range(epochs):
        order = orders(start.problem, epoch)
        for first in range(0, cell.train_points, cell.batch):
            some = order[:, first : first + cell.batch]
            optimizer.zero_grad()
            losses(x[every, some], y[every, some]).sum().backward()
            optimizer.step()
        found.append([losses(*one).detach().numpy() for one in start.problem.samples])
    return History(*(np.array(part) for part in zip(*found, strict=True)))


def judged_by(history: History, epochs: int, interval: int) -> Judged:
    """What the history says, with numpy's argmin."""
    stops = np.arange(interval, epochs + 1, interval)
    valid = history.valid[stops - 1]
    best = stops[np.argmin(valid, axis=0)]
    networks = np.arange(valid.shape[1])
    return Judged(
        history.train[epochs - 1],
        history.valid[epochs - 1],
        history.test[epochs - 1],
        valid.min(axis=0),
        history.test[best - 1, networks],
        best,
        np.full(len(networks), NEVER),
    )


def difference(one: Judged, other: Judged) -> float:
    """The largest relative one; infinite where an epoch differs."""
    if not all(np.array_equal(a, b) for a, b in zip(one[5:], other[5:], strict=True)):
        return np.inf
    return float(max(np.abs(a / b - 1.0).max() for a, b in zip(one[:5], other[:5], strict=True)))


def ours(cell: SetupCell, start: Start) -> Judged:
    """Trained in double precision."""
    engine = get_engine(cell.engine, precision="float64")
    return train(engine, start.problem, start.networks, cell)


@each_case
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("parametrization", ["he", "ntk"])
def test_training_is_that_of_a_plain_loop(
    engine: str, data: str, rule: str, parametrization: str
) -> None:
    lists = {
        "data": [data], "optimizer": [rule], "learning_rate": [RATES[rule]],
        "parametrization": [parametrization], "bias_init": ["unif"],
    }  # fmt: skip
    cell = cell_of(lists=lists, epochs=20, validate_every=4)
    assert cell.engine == engine
    start = start_with(cell)
    judged = ours(cell, start)
    assert difference(judged, judged_by(plain_history(start, 20), 20, 4)) < 1e-9
    # Negative control: another rate shows.
    other = cell.at_rate(1.001 * cell.learning_rate)
    assert difference(ours(other, start_with(other)), judged) > 1e-6


@each_case
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("parametrization", ["he", "ntk"])
def test_training_is_that_of_torch(engine: str, data: str, rule: str, parametrization: str) -> None:
    lists = {
        "data": [data], "optimizer": [rule], "learning_rate": [RATES[rule]],
        "parametrization": [parametrization], "bias_init": ["he+5"], "batch": [4],
    }  # fmt: skip
    cell = cell_of(lists=lists, epochs=12, validate_every=3, engine=engine)
    start = start_with(cell)
    judged = ours(cell, start)
    assert difference(judged, judged_by(torch_history(cell, start, 12), 12, 3)) < 1e-8
    # Negative control: the factors of the other parametrisation show.
    other = replace(cell, parametrization="ntk" if parametrization == "he" else "he")
    assert difference(judged, judged_by(torch_history(other, start, 12), 12, 3)) > 1e-4


def test_single_precision_is_near_double() -> None:
    """What blocks use; 12 epochs of training lose few digits."""
    cell = cell_of(lists={"data": ["radial-2"]}, epochs=12)
    start = start_with(cell)
    single = train(get_engine("fused"), start.problem, start.networks, cell)
    assert 0.0 < difference(single, ours(cell, start)) < 1e-3


def overfitting() -> tuple[SetupCell, Start, History]:
    """16 points with noise, wide networks and large rates: validation errors rise again."""
    lists = {"width": [32], "learning_rate": [0.03], "bias_init": ["unif"]}
    cell = cell_of(lists=lists, epochs=40, validate_every=2)
    start = start_with(cell)
    return cell, start, plain_history(start, 40)


def test_the_test_error_is_that_of_the_best_epoch() -> None:
    cell, start, history = overfitting()
    judged = ours(cell, start)
    early = judged.best_epoch < 40
    assert early.any()
    assert difference(judged, judged_by(history, 40, 2)) < 1e-9
    networks = np.arange(4)
    at_best = history.test[judged.best_epoch - 1, networks]
    assert judged.best_test == pytest.approx(at_best, rel=1e-9)
    # Neither the last one, nor the least, nor the validation error.
    assert (np.abs(judged.best_test / judged.last_test - 1)[early] > 1e-3).all()
    assert (judged.best_test > history.test.min(axis=0) * (1 + 1e-6)).any()
    assert (np.abs(judged.best_test / judged.best_valid - 1) > 1e-3).all()


def test_epochs_after_the_last_validation_count_for_the_last_errors_only() -> None:
    cell, start, history = overfitting()
    history = History(*(part[:7] for part in history))
    judged = ours(replace(cell, epochs=7, validate_every=3), start)
    assert difference(judged, judged_by(history, 7, 3)) < 1e-9
    assert set(judged.best_epoch) <= {3, 6}
    assert (judged.last_valid < judged.best_valid).any()  # at epoch 7, which is not validated


def test_how_often_is_validated_does_not_change_training() -> None:
    cell, start, _ = overfitting()
    often = ours(replace(cell, validate_every=1), start)
    once = ours(replace(cell, validate_every=40), start)
    for one, other in zip(often[:3], once[:3], strict=True):
        assert np.array_equal(one, other)
    assert (often.best_valid <= once.best_valid).all()
    assert np.array_equal(once.best_valid, once.last_valid)


# ---------------------------------------------------------------------------- divergence


def exploding(network: int) -> tuple[SetupCell, Start]:
    """One network starts so far out that descent blows it up, but not at once."""
    lists = {"optimizer": ["sgd"], "learning_rate": [0.03], "batch": [16], "data": ["radial-2"]}
    cell = cell_of(lists=lists, epochs=20, validate_every=1)
    start = start_with(cell)
    start.networks.w[network] *= 20.0
    return cell, start


@pytest.mark.parametrize("network", [0, 2, 3])
def test_a_network_that_diverges_leaves_the_others_alone(network: int) -> None:
    cell, start = exploding(network)
    judged = ours(cell, start)
    history = plain_history(start, 20)
    with np.errstate(over="ignore"):
        gone = ~np.isfinite(history.valid[:, network].astype(np.float32))
    assert not gone[0]  # so that its first errors have to be forgotten
    assert judged.diverged_by[network] == np.flatnonzero(gone)[0] + 1
    assert all(np.isnan(part[network]) for part in judged[:5])
    assert judged.best_epoch[network] == NEVER
    others = np.arange(4) != network
    assert (judged.diverged_by[others] == NEVER).all()
    problem, nets = chosen(start.problem, start.networks, others)
    alone = ours(cell, start._replace(problem=problem, networks=nets))
    for part, expected in zip(judged, alone, strict=True):
        assert np.array_equal(part[others], expected)


def test_all_networks_may_diverge() -> None:
    cell, start = exploding(0)
    start.networks.w[:] *= 20.0
    judged = ours(cell, start)
    assert (judged.diverged_by != NEVER).all()
    assert all(np.isnan(part).all() for part in judged[:5])
    assert (judged.best_epoch == NEVER).all()


def test_a_network_that_diverged_has_nulls_in_its_row() -> None:
    cell, start = exploding(2)
    judged = ours(cell, start)
    rows = setup_rows(Block(cell, 1, 4, 4), start, judged).to_pylist()
    diverged = rows.pop(2)
    assert all(diverged[name] is None for name in METRICS)
    assert (diverged["best_epoch"], diverged["diverged_by"]) == (None, judged.diverged_by[2])
    assert diverged["target_deviation"] == start.scales.y_deviation[2]
    for row in rows:
        assert all(row[name] > 0.0 for name in METRICS)
        assert row["best_epoch"] >= 1
        assert row["diverged_by"] is None


# ---------------------------------------------------------------- the loop, by what it is told


class Scripted:
    """An engine whose validation errors (stops, networks) were made up; test errors tell epochs."""

    name: ClassVar[str] = "scripted"

    def __init__(self, valid: list[list[float]]) -> None:
        self.valid = np.array(valid)

    def init(self, problem: Problem, networks: Networks) -> tuple[int, Ints]:
        return 0, np.arange(self.valid.shape[1])

    def advance(self, state: tuple[int, Ints], epochs: int) -> tuple[int, Ints]:
        return state[0] + epochs, state[1]

    def mean_squares(self, state: tuple[int, Ints], sample: str) -> Floats:
        epoch, index = state
        if sample == "valid":
            return np.asarray(self.valid[epoch - 1, index])
        return np.asarray((100.0 if sample == "test" else 1000.0) * epoch + index)

    def networks(self, state: tuple[int, Ints]) -> Networks:
        raise NotImplementedError

    def keep(self, state: tuple[int, Ints], mask: Bools) -> tuple[int, Ints]:
        return state[0], state[1][mask]


def judged_script(valid: list[list[float]], every: int = 1) -> Judged:
    cell = replace(cell_of(), epochs=len(valid), validate_every=every)
    m = len(valid[0])
    nets = Networks(np.zeros((m, 1, 1)), np.zeros((m, 1)), np.zeros((m, 1)), np.zeros(m))
    return train(Scripted(valid), start_with(cell).problem, nets, cell)


def test_of_equal_validation_errors_the_first_counts() -> None:
    judged = judged_script([[3, 1], [2, 1], [2, 0.5], [4, 0.5]])
    assert judged.best_epoch.tolist() == [2, 3]
    assert judged.best_valid.tolist() == [2.0, 0.5]
    assert judged.best_test.tolist() == [200.0, 301.0]
    assert judged.last_valid.tolist() == [4.0, 0.5]
    assert judged.last_test.tolist() == [400.0, 401.0]
    assert judged.last_train.tolist() == [4000.0, 4001.0]


def test_networks_diverge_one_after_the_other() -> None:
    """NaN, infinity, and what is none in double precision but in single."""
    nan, inf = np.nan, np.inf
    judged = judged_script(
        [[1, nan, 3, 4, 5], [9, 0, 2, inf, 4], [0, 0, 3, 0, 1e39], [2, 0, 1, 0, 0]]
    )
    assert judged.diverged_by.tolist() == [NEVER, 1, NEVER, 2, 3]
    assert judged.best_epoch.tolist() == [3, NEVER, 4, NEVER, NEVER]
    assert judged.best_test[[0, 2]].tolist() == [300.0, 402.0]
    assert judged.last_valid[[0, 2]].tolist() == [2.0, 1.0]
    assert all(np.isnan(part[[1, 3, 4]]).all() for part in judged[:5])
    assert judged_script([[1e38]]).diverged_by.tolist() == [NEVER]


def test_a_network_may_diverge_after_the_last_validation() -> None:
    judged = judged_script([[1, 2], [1, 2], [1, np.nan]], every=2)
    assert judged.diverged_by.tolist() == [NEVER, 3]
    assert judged.best_epoch.tolist() == [2, NEVER]
    assert np.isnan(judged.best_valid[1])
    assert judged.last_valid[0] == 1.0


def test_divergence_between_validations_is_seen_at_the_next() -> None:
    judged = judged_script([[1, np.inf], [1, 2], [1, np.inf], [1, np.inf]], every=2)
    assert judged.diverged_by.tolist() == [NEVER, 4]


# ---------------------------------------------------------------------------------- rows


def rows_of_blocks(sweep: Sweep) -> pa.Table:
    tasks = [
        BlockTask(block, sweep.provenance(block.cell), "unused") for block in sweep.all_blocks()
    ]
    return pa.concat_tables([do(task, Files.at("unused")) for task in tasks])


@pytest.mark.parametrize("data", ["ex", "radial-2"])
def test_rows_do_not_depend_on_the_block_size(data: str) -> None:
    lists = {"data": [data], "bias_init": ["kink-neg-point"]}
    by_size = [rows_of_blocks(setup_sweep(lists=lists, block_size=size)) for size in (1, 2, 5)]
    assert [rows["block"].to_pylist() for rows in by_size] == [
        [0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [0] * 5,
    ]  # fmt: skip
    one, other, third = (rows.drop_columns("block") for rows in by_size)
    assert one["network"].to_pylist() == [0, 1, 2, 3, 4]
    assert one.equals(other)
    assert one.equals(third)


def test_rows_are_in_units_of_the_targets() -> None:
    """RMSEs are roots, times the deviation of the training targets as they were drawn."""
    cell = cell_of(lists={"data": ["ex-old"]})
    start = start_with(cell)
    judged = ours(cell, start)
    rows = setup_rows(Block(cell, 0, 0, 4), start, judged)
    for name, errors in zip(METRICS, judged[:5], strict=True):
        expected = np.sqrt(errors) * start.scales.y_deviation
        assert rows[name].to_numpy() == pytest.approx(expected, rel=1e-15)
    assert np.array_equal(rows["best_epoch"].to_numpy(), judged.best_epoch)
    assert np.array_equal(rows["bayes_rmse"].to_numpy(), start.bayes_rmse)
    assert start.scales.y_deviation.min() > 1.5  # so units matter


def test_rows_of_an_untrained_network_are_the_deviation_of_the_targets() -> None:
    """A network without outer weights predicts the mean: its training RMSE follows from units."""
    cell = cell_of(lists={"data": ["ex-old"], "optimizer": ["sgd"], "learning_rate": [1e-300]})
    start = start_with(cell)
    start.networks.w[:] = 0.0
    rows = setup_rows(Block(cell, 0, 0, 4), start, ours(cell, start))
    expected = start.scales.y_deviation * np.sqrt(15 / 16)  # of 16 points, divisor 15
    assert rows["last_train_rmse"].to_numpy() == pytest.approx(expected, rel=1e-12)


def test_rows_name_their_cell_and_network() -> None:
    sweep = setup_sweep(lists={"bias_init": ["unif"], "bias_gain": [0.5]})
    rows = rows_of_blocks(sweep).to_pylist()
    (cell,) = setup_cells(sweep)
    told = ("data", "parametrization", "optimizer", "bias_init", "bias_gain", "width", "batch",
            "learning_rate", "engine")  # fmt: skip
    for row in rows:
        assert row["cell"] == cell.id
        assert {name: row[name] for name in told} == {name: getattr(cell, name) for name in told}
    noise = np.array([row["bayes_rmse"] for row in rows])
    assert np.abs(noise / (0.1 / 0.727) - 1.0).max() < 5 / np.sqrt(2 * JUDGING_POINTS)

"""Stopping criteria one by one (reference section 1), and the training loop that asks them."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import one_d_oracle as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_d_problems import select, standard_problem, weights_of, with_steps

from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.experiments.crossing.stopping import (
    Check,
    Criterion,
    Crossing,
    EarlyStopping,
    Sufficient,
    few_points,
    one_sided_weights,
)
from mcrelu.experiments.crossing.train import Checks, Moment, train
from mcrelu.problems.one_d import Info, Problem, StopReason, Weights
from mcrelu.rng import PhiloxMinibatches
from mcrelu.theory.criterion import Form, MotionBound
from mcrelu.types import Bools, Counts, Floats, Ints, PointSet

R = StopReason
quick = settings(deadline=None, derandomize=True, max_examples=100)


def unexpected(*args: Any) -> Any:
    raise AssertionError("asked for what is not needed")


def check_of(problem: Problem, net: Weights, crossed: Bools | None = None) -> Check:
    """The check of networks with these parameters."""
    m = len(problem.p)
    return Check(
        points=problem.points,
        p=problem.p,
        validation_p=problem.p,
        step_size=problem.step_size,
        crossed=np.zeros(m, dtype=bool) if crossed is None else crossed,
        outputs=oracle.outputs(net, problem.points.x),
        moments=lambda: net.sums.sigma,
        outermost=lambda mask: Weights(*(part[mask] for part in net)),
    )


def check_of_losses(losses: list[float]) -> Check:
    """A check of which only the validation loss matters: one point, y = 0, f = 1, v = loss."""
    loss = np.array(losses)[:, None]
    return Check(
        points=PointSet(x=np.ones(1), y=np.zeros(1)),
        p=np.ones_like(loss),
        validation_p=loss,
        step_size=np.ones(len(loss)),
        crossed=np.zeros(len(loss), dtype=bool),
        outputs=np.ones_like(loss),
        moments=unexpected,
        outermost=unexpected,
    )


# -------------------------------------------------------------------------------- crossing


def test_crossing() -> None:
    check = check_of_losses([1.0, 1.0, 1.0])
    check = Check(**(vars(check) | {"crossed": np.array([True, False, True])}))
    memory, status = Crossing().judge(Crossing().init(3), check)
    assert memory == ()
    assert status.tolist() == [R.CROSSED, 0, R.CROSSED]


# --------------------------------------------------------------------------- early stopping


def stop_check(criterion: EarlyStopping, losses: list[float]) -> int | None:
    """Number of the check at which a network with these validation losses stops."""
    memory = criterion.init(1)
    for number, loss in enumerate(losses, start=1):
        memory, status = criterion.judge(memory, check_of_losses([loss]))
        if status[0]:
            assert status[0] == R.EARLY_STOPPED
            return number
    return None


def stop_check_from_the_reference(
    patience: int, min_delta: float, losses: list[float]
) -> int | None:
    """Count first, then reset on improvement, then compare."""
    best, counter = float("inf"), 0
    for number, loss in enumerate(losses, start=1):
        counter += 1
        if loss < best - min_delta:
            best, counter = loss, 0
        if counter >= patience:
            return number
    return None


def test_defaults_are_those_of_the_reference() -> None:
    assert EarlyStopping() == EarlyStopping(patience=10, min_delta=1e-8)


@pytest.mark.parametrize(
    ("losses", "stops_at"),
    [
        # The first check always improves on infinity, ten more do not.
        ([1.0] * 20, 11),
        # Growing losses never improve either.
        ([1.0 + k for k in range(20)], 11),
        # Each check improves.
        ([1.0 - 0.01 * k for k in range(50)], None),
        # The ninth wait is forgiven, the counter starts anew: 10 checks, improvement, 10 more.
        ([1.0] * 10 + [0.5] * 20, 21),
        # Improvement at the very check at which patience would end: incremented, then reset.
        ([1.0] * 10 + [0.5] * 3, None),
        # One check later it is too late.
        ([1.0] * 11 + [0.5] * 3, 11),
        # A fall by 0.6e-8 is none, but two of them are: best stays where it was.
        ([1.0 - 0.6e-8 * k for k in range(40)], None),
        # Falls of 0.9e-9 reach 1e-8 only after twelve checks.
        ([1.0 - 0.9e-9 * k for k in range(40)], 11),
        # Back at the best is no improvement.
        ([1.0, 0.5] + [0.9, 0.5] * 10, 12),
        # What has diverged cannot improve, not even at first.
        ([float("nan")] * 20, 10),
        ([float("inf")] * 20, 10),
        ([1.0, *[float("nan")] * 20], 11),
    ],
)
def test_early_stopping_at_the_right_check(losses: list[float], stops_at: int | None) -> None:
    assert stop_check(EarlyStopping(), losses) == stops_at


def test_improvement_must_exceed_min_delta() -> None:
    criterion = EarlyStopping(patience=1, min_delta=0.25)  # exact in binary
    assert stop_check(criterion, [1.0, 0.75]) == 2
    assert stop_check(criterion, [1.0, np.nextafter(0.75, 0.0)]) is None


@given(
    losses=st.lists(st.sampled_from([0.5, 0.7, 0.75, 0.8, 0.9, 1.0, 2.0, np.nan]), max_size=40),
    patience=st.integers(1, 12),
    min_delta=st.sampled_from([0.0, 1e-8, 0.05, 0.1]),
)
@quick
def test_early_stopping_equals_the_reference(
    losses: list[float], patience: int, min_delta: float
) -> None:
    expected = stop_check_from_the_reference(patience, min_delta, losses)
    assert stop_check(EarlyStopping(patience, min_delta), losses) == expected


def test_networks_have_counters_of_their_own() -> None:
    rng = np.random.default_rng(0)
    table = rng.choice([0.2, 0.5, 1.0], size=(30, 6))
    criterion = EarlyStopping(patience=4)
    memory = criterion.init(6)
    stopped: list[int | None] = [None] * 6
    for number, losses in enumerate(table, start=1):
        memory, status = criterion.judge(memory, check_of_losses(losses.tolist()))
        for k in np.flatnonzero(status):
            stopped[k] = stopped[k] or number
    assert stopped == [stop_check(criterion, column.tolist()) for column in table.T]
    assert len(set(stopped)) > 1


def test_validation_loss_has_no_half_and_uses_the_validation_sample() -> None:
    check = Check(
        points=PointSet(x=np.array([1.0, -1.0]), y=np.array([1.0, 3.0])),
        p=np.array([[1.0, 0.0]]),
        validation_p=np.array([[0.25, 0.75]]),
        step_size=np.ones(1),
        crossed=np.zeros(1, dtype=bool),
        outputs=np.array([[3.0, 1.0]]),
        moments=unexpected,
        outermost=unexpected,
    )
    assert check.validation_loss().tolist() == [0.25 * 4 + 0.75 * 4]


# ------------------------------------------------------------------------------- sufficient


@pytest.mark.parametrize(
    ("p", "degenerate"),
    [
        ([1 / 6] * 6, False),
        ([0.2, 0.2, 0.0, 0.3, 0.3, 0.0], False),
        ([0.5, 0.0, 0.0, 0.25, 0.25, 0.0], True),  # one point left of zero
        ([0.25, 0.25, 0.0, 0.0, 0.0, 0.5], True),  # one point right of zero
        ([0.0, 0.0, 0.0, 0.5, 0.25, 0.25], True),  # none left
        ([1e-9, 0.0, 1e-9, 0.5, 0.5, 0.0], False),  # small weights are weights
    ],
)
def test_few_points(p: list[float], degenerate: bool) -> None:
    points = standard_problem(0, 1, 4).points
    assert few_points(points, np.array([p])).tolist() == [degenerate]


def test_one_sided_weights() -> None:
    a = np.array([[1.0, -2.0, 3.0], [1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [1e-100, -1.0, -2.0]])
    net = Weights(a, np.zeros((4, 3)), np.zeros(4), np.ones((4, 3)))
    assert one_sided_weights(net.sums.sigma).tolist() == [False, True, True, False]


class Trained(NamedTuple):
    """Networks of which some are locally converged, and their parameters."""

    problem: Problem
    net: Weights


@pytest.fixture(scope="module")
def trained() -> Trained:
    engine, problem = DenseEngine(), standard_problem(seed=2, networks=40, width=16)
    state = engine.advance(engine.init(problem), 7000)
    inside = engine.info(state).first_crossing == 0
    return Trained(select(problem, inside), engine.neurons(engine.keep(state, inside)))


def judged(criterion: Criterion, check: Check) -> list[int]:
    return criterion.judge(criterion.init(len(check.p)), check)[1].tolist()


def test_sufficient_judges_converged_networks_and_others(trained: Trained) -> None:
    problem, net = trained
    sharp, fresh = Sufficient(Form.SHARP), check_of(problem, weights_of(problem))
    assert set(judged(sharp, check_of(problem, net))) == {0, R.LOCALLY_CONVERGED}
    assert set(judged(sharp, fresh)) == {0}
    assert set(judged(Sufficient(), fresh)) == {0, R.LOCALLY_CONVERGED}


def test_sufficient_forms_differ(trained: Trained) -> None:
    """The default is the modewise form, which certifies most."""
    check = check_of(*trained)
    default, sharp, published = (
        np.array(judged(criterion, check)) > 0
        for criterion in (Sufficient(), Sufficient(Form.SHARP), Sufficient(Form.PUBLISHED))
    )
    assert Sufficient() == Sufficient(Form.MODEWISE)
    assert default.sum() > sharp.sum() > published.sum() > 0
    assert (default >= sharp).all()
    assert (sharp >= published).all()


def test_an_early_check_decides_nothing_that_may_change(trained: Trained) -> None:
    """A degenerate network may still cross, and early stopping counts regular checks."""
    problem, net = trained
    problem = problem._replace(p=problem.p.copy())
    problem.p[0] = [0.3, 0.3, 0.3, 0.1, 0.0, 0.0]
    regular = check_of(problem, net)
    early = Check(**(vars(regular) | {"early": True}))
    assert judged(Sufficient(), regular)[0] == R.X_DEGENERATE
    assert judged(Sufficient(), early)[0] == 0
    assert judged(Sufficient(), early)[1:] == judged(Sufficient(), regular)[1:]
    crossed = Check(**(vars(early) | {"crossed": np.ones(len(problem.p), dtype=bool)}))
    assert set(judged(Crossing(), crossed)) == {R.CROSSED}
    waiting = EarlyStopping(patience=1)
    memory = waiting.init(len(problem.p))
    memory, _ = waiting.judge(memory, regular)
    unchanged, status = waiting.judge(memory, early)
    assert not status.any()
    for before, after in zip(memory, unchanged, strict=True):
        np.testing.assert_array_equal(before, after)
    assert (waiting.judge(memory, regular)[1] == R.EARLY_STOPPED).all()


def test_degenerate_networks(trained: Trained) -> None:
    """Row 0 as it is, 1 with one point right of zero, 2 with all a > 0, 3 with both."""
    first = np.array([judged(Sufficient(), check_of(*trained)).index(R.LOCALLY_CONVERGED)] * 4)
    problem = select(trained.problem, first)
    net = Weights(*(part[first].copy() for part in trained.net))
    problem.p[[1, 3]] = [0.3, 0.3, 0.3, 0.1, 0.0, 0.0]
    net.a[[2, 3]] = np.abs(net.a[[2, 3]])
    expected = [R.LOCALLY_CONVERGED, R.X_DEGENERATE, R.A_DEGENERATE, R.X_DEGENERATE]
    assert judged(Sufficient(), check_of(problem, net)) == expected


def test_degenerate_wins_over_converged(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """The later criterion wins, were the proof ever to hold for a degenerate network."""

    def holds(sigma: Floats, *args: Any) -> MotionBound:
        return MotionBound(np.ones(len(sigma), dtype=bool), np.zeros(len(sigma)))

    monkeypatch.setattr("mcrelu.theory.criterion.motion_bound", holds)
    rows = np.zeros(4, dtype=int)
    problem = select(trained.problem, rows)
    net = Weights(*(part[rows].copy() for part in trained.net))
    problem.p[[1, 3]] = [0.3, 0.3, 0.3, 0.1, 0.0, 0.0]
    net.a[[2, 3]] = np.abs(net.a[[2, 3]])
    expected = [R.LOCALLY_CONVERGED, R.X_DEGENERATE, R.A_DEGENERATE, R.X_DEGENERATE]
    assert judged(Sufficient(Form.SHARP), check_of(problem, net)) == expected


def test_neurons_are_asked_for_only_where_the_first_stage_holds(trained: Trained) -> None:
    asked: list[Bools] = []

    def outermost(mask: Bools) -> Weights:
        asked.append(mask)
        return Weights(*(part[mask] for part in trained.net))

    check = check_of(*trained)
    check = Check(**(vars(check) | {"outermost": outermost}))
    status = np.array(judged(Sufficient(Form.SHARP), check))
    assert len(asked) == 1
    assert 0 < asked[0].sum() < len(status)
    assert (status[~asked[0]] == 0).all()


def test_restricted_check_is_that_of_the_networks(trained: Trained) -> None:
    m = len(trained.problem.p)
    whole = check_of(*trained, crossed=np.arange(m) % 4 == 0)
    mask = np.arange(m) % 3 == 1
    part = whole.restrict(mask)
    for name in ("p", "validation_p", "step_size", "crossed", "outputs"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[mask])
    np.testing.assert_array_equal(part.moments(), whole.moments()[mask])
    inner = np.arange(mask.sum()) % 2 == 0
    for got, values in zip(part.outermost(inner), trained.net, strict=True):
        np.testing.assert_array_equal(got, values[mask][inner])
    # And once more, as the loop does after two criteria.
    twice = part.restrict(inner)
    rest = np.arange(inner.sum()) == 1
    np.testing.assert_array_equal(twice.outermost(rest).a, trained.net.a[mask][inner][rest])


# ----------------------------------------------------------------------- the training loop


class ScriptedState(NamedTuple):
    networks: Ints  # (m,) rows of the script
    step: int


class ScriptedEngine:
    """An engine that follows a script: network k has loss losses[k, check], crosses at cross[k].

    The first weight c of a problem names the row of the script.
    """

    name: ClassVar[str] = "scripted"
    semantics: ClassVar[int] = 1
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd"})

    def __init__(self, losses: list[list[float]], cross: list[int], interval: int) -> None:
        self.losses, self.cross, self.interval = np.array(losses), np.array(cross), interval
        self.windows: list[tuple[list[int], int, int]] = []

    def init(self, problem: Problem) -> ScriptedState:
        return ScriptedState(weights_of(problem).c.astype(int), 0)

    def advance(
        self, state: ScriptedState, steps: int, minibatches: Counts | None = None
    ) -> ScriptedState:
        assert minibatches is None or minibatches.shape == (len(state.networks), 1, steps)
        self.windows.append((state.networks.tolist(), state.step, steps))
        return state._replace(step=state.step + steps)

    def info(self, state: ScriptedState) -> Info:
        step = self.cross[state.networks]
        happened = (step > 0) & (step <= state.step)
        return Info(np.where(happened, 2.0, 0.5), np.where(happened, step, 0))

    def outputs(self, state: ScriptedState) -> Floats:
        check = state.step // self.interval - 1
        return np.sqrt(self.losses[state.networks, check])[:, None]

    def keep(self, state: ScriptedState, mask: Bools) -> ScriptedState:
        return state._replace(networks=state.networks[mask])

    moments = neurons = outermost = unexpected

    @staticmethod
    def memory(networks: int, width: int, optimizer: str, crossing: int) -> int:
        raise AssertionError("asked for what is not needed")


def scripted_problem(networks: int) -> Problem:
    """One point with y = 0, so that the validation loss is the squared output."""
    column, row = np.ones((networks, 1)), np.arange(networks, dtype=float)
    weights = Weights(column, column, row, column)
    points = PointSet(x=np.ones(1), y=np.zeros(1))
    return Problem(points, column, weights, np.ones(networks), "gd")


FLAT, FALLING = [1.0] * 8, [2.0**-k for k in range(8)]


def run_script(
    losses: list[list[float]], cross: list[int], criteria: list[Criterion], checks: int = 8
) -> tuple[ScriptedEngine, Any]:
    engine = ScriptedEngine(losses, cross, interval=100)
    problem = scripted_problem(len(losses))
    return engine, train(engine, problem, problem.p, criteria, Checks(100, checks))


def test_crossing_goes_first_and_counts_at_checks_only() -> None:
    """Patience 3 stops a flat loss at check 4, step 400."""
    cross = [0, 1, 100, 101, 400, 401, 0]
    losses = [FLAT] * 6 + [FALLING]
    _, got = run_script(losses, cross, [Crossing(), EarlyStopping(patience=3)])
    early, crossed = R.EARLY_STOPPED, R.CROSSED
    assert got.status.tolist() == [early, crossed, crossed, crossed, crossed, early, R.UNFINISHED]
    assert got.stop_iteration.tolist() == [400, 100, 100, 200, 400, 400, 800]
    assert got.first_crossing.tolist() == [0, 1, 100, 101, 400, 0, 0]
    assert got.max_kink.tolist() == [0.5, 2.0, 2.0, 2.0, 2.0, 0.5, 0.5]


def test_order_of_the_criteria_decides() -> None:
    _, got = run_script([FLAT], [400], [EarlyStopping(patience=3), Crossing()])
    assert got.status.tolist() == [R.EARLY_STOPPED]


def test_counters_stay_with_their_networks_when_others_stop() -> None:
    """Network 0 crosses at once; the others keep their own counters, patience 3."""
    late = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    _, got = run_script([FLAT, late, FLAT], [1, 0, 0], [Crossing(), EarlyStopping(patience=3)])
    assert got.stop_iteration.tolist() == [100, 600, 400]


def test_stopped_networks_train_no_more() -> None:
    engine, _ = run_script([FLAT] * 3, [0, 150, 0], [Crossing()], checks=4)
    running = [[0, 1, 2], [0, 1, 2], [0, 2], [0, 2]]
    assert engine.windows == [(running[k], 100 * k, 100) for k in range(4)]


def test_loop_ends_when_all_have_stopped() -> None:
    engine, got = run_script([FLAT] * 2, [50, 150], [Crossing()])
    assert len(engine.windows) == 2
    assert got.status.tolist() == [R.CROSSED, R.CROSSED]


def test_unfinished_at_the_cap() -> None:
    """Also where a network crossed but nobody asked."""
    _, got = run_script([FALLING, FLAT], [0, 250], [], checks=5)
    assert got.status.tolist() == [R.UNFINISHED, R.UNFINISHED]
    assert got.stop_iteration.tolist() == [500, 500]
    assert got.first_crossing.tolist() == [0, 250]
    # Losses at the end: the training loss has a half, the validation loss has none.
    np.testing.assert_allclose(got.validation_loss, [2.0**-4, 1.0], rtol=1e-15)
    np.testing.assert_allclose(got.training_loss, [2.0**-5, 0.5], rtol=1e-15)


def test_stop_at_the_last_check_is_no_cap() -> None:
    _, got = run_script([FLAT], [0], [EarlyStopping(patience=3)], checks=4)
    assert got.status.tolist() == [R.EARLY_STOPPED]


class RecordingStream:
    """Minibatches of one point, and who asked for which window."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int, int]] = []

    def draw(self, networks: Ints, first_step: int, steps: int) -> Counts:
        self.asked.append((networks.tolist(), first_step, steps))
        return np.full((len(networks), 1, steps), 16, dtype=np.uint8)


def test_minibatches_are_drawn_for_running_networks_window_by_window() -> None:
    engine = ScriptedEngine([FLAT] * 3, [0, 150, 0], interval=100)
    problem, stream = scripted_problem(3), RecordingStream()
    train(engine, problem, problem.p, [Crossing()], Checks(100, 4), stream)
    assert stream.asked == engine.windows
    assert stream.asked[2] == ([0, 2], 200, 100)


# --------------------------------------------------------------- the loop with real networks

ALL_CRITERIA = (Crossing(), EarlyStopping(patience=3), Sufficient(Form.SHARP))


def minibatch_stream(problem: Problem) -> PhiloxMinibatches:
    counts = np.rint(problem.p * 256).astype(int)
    return PhiloxMinibatches(np.random.SeedSequence(4), counts)


def assert_same_outcome(got: Any, expected: Any, rows: Ints) -> None:
    for name, values in expected._asdict().items():
        np.testing.assert_array_equal(getattr(got, name), values[rows], err_msg=name)


def validation_weights(networks: int) -> Floats:
    return np.random.default_rng(9).multinomial(256, [1 / 6] * 6, size=networks) / 256


def test_outcome_does_not_depend_on_the_batch() -> None:
    problem, validation = standard_problem(seed=6, networks=50, width=16), validation_weights(50)
    checks = Checks(1000, 40)
    whole = train(DenseEngine(), problem, validation, ALL_CRITERIA, checks)
    assert len(set(whole.status.tolist())) >= 3
    assert len(set(whole.stop_iteration.tolist())) > 5
    for size in (1, 7, 16, 33):
        rows = np.random.default_rng(size).permutation(50)[:size]
        part = train(DenseEngine(), select(problem, rows), validation[rows], ALL_CRITERIA, checks)
        assert_same_outcome(part, whole, rows)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_outcome_does_not_depend_on_the_length_of_the_batch(optimizer: str) -> None:
    problem = standard_problem(seed=6, networks=40, width=16)._replace(optimizer=optimizer)
    problem, validation = with_steps(problem, 0.05), validation_weights(40)
    checks, criteria = Checks(200, 30), (Crossing(), EarlyStopping(patience=3))
    stream = minibatch_stream(problem)
    whole = train(DenseEngine(), problem, validation, criteria, checks, stream)
    assert len(set(whole.stop_iteration.tolist())) > 5
    first = np.arange(19)
    part = train(DenseEngine(), select(problem, first), validation[first], criteria, checks, stream)
    assert_same_outcome(part, whole, first)


def test_outcome_is_that_of_the_oracle() -> None:
    """Crossing steps, losses and largest kinks of a short run, step by step in numpy."""
    problem, validation = standard_problem(seed=8, networks=12, width=8), validation_weights(12)
    got = train(DenseEngine(), problem, validation, [Crossing()], Checks(50, 4))
    nets = list(oracle.trajectory(problem, None, 200))
    kinks = np.array([oracle.largest_kink(net) for net in nets])
    for k in range(12):
        over = np.flatnonzero(kinks[:, k] >= 1.0)
        first = over[0] + 1 if len(over) else 0
        stop = -(-first // 50) * 50 if first else 200
        assert got.status[k] == (R.CROSSED if first else R.UNFINISHED)
        assert (got.first_crossing[k], got.stop_iteration[k]) == (first, stop)
        assert got.max_kink[k] == pytest.approx(kinks[:stop, k].max(), rel=1e-9)
        error = oracle.outputs(nets[stop - 1], problem.points.x)[k] - problem.points.y
        assert got.training_loss[k] == pytest.approx((problem.p[k] * error**2).sum() / 2, rel=1e-9)
        assert got.validation_loss[k] == pytest.approx((validation[k] * error**2).sum(), rel=1e-9)
    assert {R.CROSSED, R.UNFINISHED} == set(got.status.tolist())


@pytest.mark.parametrize("engine", [DenseEngine(), GroupedEngine()])
def test_every_check_can_be_watched(engine: Any) -> None:
    """All networks that trained up to it, with their true states, and what was decided."""
    problem, validation = standard_problem(seed=8, networks=12, width=8), validation_weights(12)
    criteria, checks = (Crossing(), Sufficient()), Checks(50, 4, early=(0, 3))
    seen: list[Moment] = []
    watched = train(engine, problem, validation, criteria, checks, on_check=seen.append)
    unwatched = train(engine, problem, validation, criteria, checks)
    assert_same_outcome(unwatched, watched, np.arange(12))
    assert [moment.step for moment in seen] == [0, 3, 50, 100, 150, 200][: len(seen)]
    nets = [problem.weights.rows(np.arange(12)), *oracle.trajectory(problem, None, 200)]
    going = np.arange(12)
    for moment in seen:
        np.testing.assert_array_equal(moment.rows, going)
        net = nets[moment.step].rows(going)
        for got, expected in zip(moment.weights(), net, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)
        error = oracle.outputs(net, problem.points.x) - problem.points.y
        training = (problem.p[going] * error**2).sum(axis=1) / 2
        validated = (validation[going] * error**2).sum(axis=1)
        np.testing.assert_allclose(moment.training_loss, training, rtol=1e-7)
        np.testing.assert_allclose(moment.validation_loss, validated, rtol=1e-7)
        np.testing.assert_array_equal(
            watched.status[going[moment.status != 0]], moment.status[moment.status != 0]
        )
        going = going[moment.status == 0]
    assert len(seen[-1].rows) < 12


def test_a_diverged_network_does_not_take_its_neighbours_along() -> None:
    """Networks that overflow before they cross: neither an error, nor converged."""
    mild = standard_problem(seed=1, networks=200, width=4)
    wild = with_steps(mild, 100.0)
    engine, criteria, checks = DenseEngine(), (Crossing(), Sufficient()), Checks(1000, 20)
    state = engine.advance(engine.init(wild), 100)
    overflown = ~np.isfinite(engine.outputs(state)).all(axis=1)
    bad = np.flatnonzero(overflown & (engine.info(state).first_crossing == 0))[:5]
    assert len(bad) == 5
    good = np.setdiff1d(np.arange(30), bad)
    mixed = select(mild, np.append(bad, good))
    mixed.step_size[:5] = wild.step_size[bad]
    together = train(engine, mixed, mixed.p, criteria, checks)
    alone = train(engine, select(mild, good), mild.p[good], criteria, checks)
    for name, values in alone._asdict().items():
        np.testing.assert_array_equal(getattr(together, name)[5:], values, err_msg=name)
    assert R.LOCALLY_CONVERGED in alone.status
    assert R.LOCALLY_CONVERGED not in together.status[:5]


def test_overflow_is_no_warning() -> None:
    """Losses on their way to infinity."""
    problem = with_steps(standard_problem(seed=3, networks=500, width=4), 10.0)
    criteria = (Crossing(), EarlyStopping(patience=3))
    train(DenseEngine(), problem, problem.p, criteria, Checks(3, 10))

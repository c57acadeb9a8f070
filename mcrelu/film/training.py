"""One network on one sample: drawn, and trained with a look at every so many steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.data import standard_points
from mcrelu.distributions import draw
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.film.kinks import KINKS
from mcrelu.init import he
from mcrelu.problems.one_d import Problem, Weights, function_at, kinks
from mcrelu.types import Floats, Ints, PointSet

GROWTH = 1.1  # of the steps that are looked at
SAMPLE = 256  # points of a distribution

# Adam (Kingma and Ba 2015), for the network that does learn the data
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
GOOD_STEPS, GOOD_RATE, HELD_STEPS = 200_000, 1e-3, 1000


class Frame(NamedTuple):
    """The network after some step."""

    step: int
    weights: Weights  # of one network, (1, n) and (1,)
    loss: float  # 1/2 sum_j p_j (f(x_j) - y_j)^2

    @property
    def kinks(self) -> Floats:
        """Where the function bends, (n,)."""
        return kinks(self.weights)[0]

    def at(self, x: Floats) -> Floats:
        """The function at some places, (G,)."""
        return function_at(self.weights, x)[0]


def sample(name: str, seed: int) -> PointSet:
    """``standard``, the six points; or a sample of a distribution in one dimension.

    From the targets of each side of zero the intercept of its best affine fit is taken away, so
    that the best functions of networks whose kinks all stay at zero are lines through the origin.
    """
    if name == "standard":
        return standard_points()
    points = draw(name, np.random.Generator(np.random.Philox(seed)), SAMPLE)
    x, y = points.x[:, 0], points.y.copy()
    for side in (x > 0, x < 0):
        _, intercept = regression_line(x[side], y[side])
        y[side] -= intercept
    return PointSet(x, y)


def regression_line(x: Floats, y: Floats, p: Floats | None = None) -> tuple[float, float]:
    """Slope and intercept of the best affine fit; of a single point, the constant.

    The points weigh ``p`` (D,), or all the same.
    """
    share = np.full(len(x), 1.0 / len(x)) if p is None else p / p.sum()
    middle = float(share @ x)
    centred = share * (x - middle)
    variance = float(centred @ (x - middle))
    slope = float(centred @ y) / variance if variance else 0.0
    return slope, float(share @ y) - slope * middle


def network(points: PointSet, width: int, start: str, step_size: float, seed: int) -> Problem:
    """A He network whose kinks are where ``start`` says, to be trained on the points."""
    root = np.random.SeedSequence(seed, spawn_key=(1,))
    a, w, places = (np.random.Generator(np.random.Philox(child)) for child in root.spawn(3))
    weights = he(a.standard_normal((1, width)), w.standard_normal((1, width)))
    weights = weights._replace(b=-weights.a * KINKS[start](places, points.x, width))
    p = np.full((1, len(points.x)), 1.0 / len(points.x))
    return Problem(points, p, weights, np.array([step_size]), "gd")


def looked_at(steps: int) -> Ints:
    """The steps floor(1.1^k) - 1 up to ``steps``, each once, and the last."""
    powers = GROWTH ** np.arange(np.log(steps + 1) / np.log(GROWTH) + 1)
    found = np.unique(powers.astype(np.int64)) - 1
    return np.append(found[found < steps], steps)


def train(problem: Problem, at: Ints) -> list[Frame]:
    """Gradient descent, with a frame at each of some ascending steps."""
    engine, frames, done = GroupedEngine(), [], 0
    state = engine.init(problem)
    for step in map(int, at):
        if step > done:
            state, done = engine.advance(state, step - done), step
        error = engine.outputs(state)[0] - problem.points.y
        loss = 0.5 * float(problem.p[0] @ error**2)
        frames.append(Frame(step, engine.neurons(state), loss))
    return frames


def affine_loss(problem: Problem) -> float:
    """The least loss of functions that are affine on either side of zero."""
    x, y = problem.points
    total = 0.0
    for side in (x > 0, x < 0):
        if side.any():
            slope, intercept = regression_line(x[side], y[side], problem.p[0][side])
            total += float(problem.p[0][side] @ (slope * x[side] + intercept - y[side]) ** 2)
    return 0.5 * total


def train_good(problem: Problem, steps: int = GOOD_STEPS) -> Frame:
    """A network that learns the data: kinks spread evenly, Adam on the whole sample.

    For the first HELD_STEPS steps the kinks are held, and w and c alone are trained.
    """
    x, y = problem.points
    p, start = problem.p[0], problem.weights.rows(np.array([0]))
    a, w = start.a[0].copy(), start.w[0].copy()
    theta = np.concatenate(
        [a, -a * KINKS["equidistant"](np.random.default_rng(0), x, len(a)), w, [0.0]]
    )
    n = len(a)
    held = np.arange(3 * n + 1) < 2 * n
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, steps + 1):
        gradient = _gradient(theta, n, x, y, p)
        gradient[held & (step <= HELD_STEPS)] = 0.0
        mean += (1.0 - _BETA1) * (gradient - mean)
        square += (1.0 - _BETA2) * (gradient**2 - square)
        unbiased = np.sqrt(square / (1.0 - _BETA2**step)) + _EPSILON
        theta -= GOOD_RATE * mean / (1.0 - _BETA1**step) / unbiased
    weights = Weights(theta[None, :n], theta[None, n : 2 * n], theta[-1:], theta[None, 2 * n : -1])
    error = _outputs(theta, n, x) - y
    return Frame(steps, weights, 0.5 * float(p @ error**2))


def _outputs(theta: Floats, n: int, x: Floats) -> Floats:
    z = np.outer(x, theta[:n]) + theta[n : 2 * n]
    return np.asarray(np.maximum(z, 0.0) @ theta[2 * n : -1] + theta[-1])


def _gradient(theta: Floats, n: int, x: Floats, y: Floats, p: Floats) -> Floats:
    """Of the loss, by a, b, w and c."""
    w = theta[2 * n : -1]
    z = np.outer(x, theta[:n]) + theta[n : 2 * n]
    h = np.maximum(z, 0.0)
    error = p * (h @ w + theta[-1] - y)
    seen = error[:, None] * (z >= 0.0)
    return np.concatenate([w * (x @ seen), w * seen.sum(axis=0), error @ h, [error.sum()]])

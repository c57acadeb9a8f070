"""Random training problems: functions of a generator, so that hypothesis can drive them."""

from __future__ import annotations

import numpy as np
import one_d_oracle as oracle

from mcrelu.data import point_weights, sample_size, standard_points
from mcrelu.init import he
from mcrelu.problems.one_d import Problem, Weights
from mcrelu.theory.sigma import inv_lambda_max
from mcrelu.types import Bools, Counts, Floats, Ints, PointSet

MINIBATCH = 16


def random_net(rng: np.random.Generator, networks: int, width: int) -> Weights:
    """He-like networks with all biases different from zero."""
    shape = (networks, width)
    return Weights(
        a=np.sqrt(2.0) * rng.standard_normal(shape),
        b=rng.standard_normal(shape),
        c=rng.standard_normal(networks),
        w=np.sqrt(2.0 / width) * rng.standard_normal(shape),
    )


def without_biases(net: Weights) -> Weights:
    """The same networks with b = 0 and c = 0, as they are initialised."""
    return net._replace(b=np.zeros_like(net.b), c=np.zeros_like(net.c))


def with_kinks_inside(net: Weights, radius: float) -> Weights:
    """The same networks with biases scaled such that all kinks lie within radius of zero."""
    return net._replace(b=0.9 * radius * np.abs(net.a) * np.tanh(net.b))


def random_points(rng: np.random.Generator, points: int) -> PointSet:
    """Points on both sides of zero (one alone falls on either) with 0.3 <= |x| <= 3."""
    side = np.where(np.arange(points) % 2 == 0, 1.0, -1.0) * rng.choice([-1.0, 1.0])
    return PointSet(side * rng.uniform(0.3, 3.0, points), rng.standard_normal(points))


def random_point_weights(rng: np.random.Generator, networks: int, points: int) -> Floats:
    """Weights p of small samples: some points get none."""
    return rng.multinomial(3 * points, np.full(points, 1 / points), size=networks) / (3 * points)


def random_minibatches(rng: np.random.Generator, p: Floats, steps: int) -> Counts:
    """Counts of minibatches, (m, D, steps)."""
    counts = rng.multinomial(MINIBATCH, p[:, None, :], size=(len(p), steps))
    return counts.transpose(0, 2, 1).astype(np.uint8)


def weights_of(problem: Problem) -> Weights:
    """The parameters of a problem whose networks are all in memory."""
    assert isinstance(problem.weights, Weights)
    return problem.weights


def select(problem: Problem, rows: Ints | Bools) -> Problem:
    """The problems of some rows, in their order."""
    weights = Weights(*(part[rows] for part in weights_of(problem)))
    return problem._replace(p=problem.p[rows], weights=weights, step_size=problem.step_size[rows])


SIX_POINTS = standard_points()

# Other six, whose innermost are at different distances from zero, none of them 1
UNEVEN_POINTS = PointSet(
    np.array([-0.75, -1.5, -2.5, 1.25, 2.0, 3.0]), np.array([-0.5, 1.0, -0.5, 0.5, -1.0, 0.5])
)


def standard_problem(
    seed: int, networks: int, width: int, factor: float = 1.0, leaky_slope: float = 0.0,
    points: PointSet = SIX_POINTS,
) -> Problem:  # fmt: skip
    """The paper's experiment: He networks, GD on samples of the six points, h = factor/lambda.

    Or of six other ``points``.
    """
    rng = np.random.default_rng(seed)
    p = point_weights(rng.multinomial(sample_size(width), [1 / 6] * 6, size=networks))
    weights = he(rng.standard_normal((networks, width)), rng.standard_normal((networks, width)))
    step_size = factor * inv_lambda_max(weights, points, p, leaky_slope)
    return Problem(points, p, weights, step_size, "gd", leaky_slope)


def random_problem(
    rng: np.random.Generator, optimizer: str, networks: int, width: int, points: int
) -> Problem:
    """Networks at random points, with steps at the edge of what is stable.

    1 / (trace of the tangent kernel) is stable for gradient descent; Adam's step size, which is
    the size of the parameters' motion in a step, is 0.01.
    """
    where = random_points(rng, points)
    p = random_point_weights(rng, networks, points)
    net = random_net(rng, networks, width)
    by = oracle.jacobian(net, where.x)
    squared = 1.0 + (by.a**2 + by.b**2 + by.w**2).sum(axis=-2)
    stable = 1.0 / (p * squared).sum(axis=1)
    step_size = np.full(networks, 0.01) if optimizer == "adam" else stable
    return Problem(where, p, net, step_size, optimizer)


def at_initialisation(problem: Problem) -> Problem:
    """The same problem with b = 0 and c = 0, as every initialiser leaves them."""
    return problem._replace(weights=without_biases(weights_of(problem)))


def with_steps(problem: Problem, factor: float | Floats) -> Problem:
    """The same problem with other step sizes."""
    return problem._replace(step_size=factor * problem.step_size)


def minibatches_for(problem: Problem, rng: np.random.Generator, steps: int) -> Counts | None:
    """Minibatches for the optimisers that train on them."""
    return None if problem.optimizer == "gd" else random_minibatches(rng, problem.p, steps)

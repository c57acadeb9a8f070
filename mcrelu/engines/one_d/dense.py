"""The dense engine: every neuron of every network, step by step. The oracle for the others."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from mcrelu.engines.one_d import dense_kernels as kernels
from mcrelu.engines.one_d.dense_kernels import LANES
from mcrelu.engines.one_d.lanes import groups_of, minibatch_weights, pack, take, unpack
from mcrelu.problems.one_d import Barrier, Info, Problem, Weights
from mcrelu.types import Array, Bools, Counts, Floats, Ints, PointSet

ADAM_BETA1 = 0.9
ADAM_BETA2 = 0.999
ADAM_EPSILON = 1e-8


class Moments(NamedTuple):
    """Adam's running means of the gradient and of its square, packed as the parameters are."""

    m: Floats  # (groups, 3 * n * LANES), for a, b and w
    v: Floats
    mc: Floats  # (groups, LANES)
    vc: Floats


class State(NamedTuple):
    """m networks in groups of LANES; every array is (groups, k * LANES)."""

    networks: int
    steps: int  # done so far
    points: PointSet
    leak: float
    optimizer: str
    a: Floats
    b: Floats
    c: Floats
    w: Floats
    outputs: Floats
    p: Floats
    step_size: Floats
    adam: Moments | None
    info: Info  # (groups, LANES) each; no parameter depends on it


class DenseEngine:
    """GD, SGD and Adam at O(n D) operations per network and step."""

    name: ClassVar[str] = "dense"
    semantics: ClassVar[int] = 2
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd", "adam"})

    @staticmethod
    def memory(
        networks: int,
        width: int,
        optimizer: str,
        crossing: int,
    ) -> int:
        """Draws (2), parameters (3), packed state and its copy (6, Adam 18) and packing (1)."""
        arrays = 24 if optimizer == "adam" else 12
        return arrays * networks * width * np.dtype(np.float64).itemsize

    def init(self, problem: Problem) -> State:
        """Pack the networks and evaluate them at the data points."""
        m, n = problem.weights.shape
        weights = problem.weights.rows(np.arange(m))
        groups = groups_of(m, LANES)
        state = State(
            networks=m,
            steps=0,
            points=problem.points,
            leak=problem.leaky_slope,
            optimizer=problem.optimizer,
            a=pack(weights.a, LANES),
            b=pack(weights.b, LANES),
            c=pack(weights.c, LANES),
            w=pack(weights.w, LANES),
            outputs=np.empty((groups, len(problem.points.x) * LANES)),
            p=pack(problem.p, LANES),
            step_size=pack(problem.step_size, LANES),
            adam=_no_moments(groups, n) if problem.optimizer == "adam" else None,
            info=Info(np.zeros((groups, LANES)), np.zeros((groups, LANES), dtype=np.int64)),
        )
        x = tuple(problem.points.x)
        for g in range(groups):
            parameters = (state.a[g], state.b[g], state.c[g], state.w[g])
            kernels.forward(*parameters, x, state.leak, state.outputs[g])
        return state

    def advance(self, state: State, steps: int, minibatches: Counts | None = None) -> State:
        """Train by ``steps`` steps, on minibatches (m, D, steps) or on the whole sample."""
        state = _copy(state)
        train = _descend if state.adam is None else _adam
        for g in range(len(state.a)):
            members = slice(g * LANES, (g + 1) * LANES)
            counts = None if minibatches is None else minibatches[members]
            train(state, g, _point_weights(state, g, counts), steps)
        return state._replace(steps=state.steps + steps)

    def info(self, state: State) -> Info:
        """How far out kinks were, and first crossing, both (m,)."""
        return Info._make(unpack(packed, state.networks, LANES)[:, 0] for packed in state.info)

    def outputs(self, state: State) -> Floats:
        """Network outputs at the data points, (m, D)."""
        return unpack(state.outputs, state.networks, LANES)

    def neurons(self, state: State, rows: Ints | None = None) -> Weights:
        """All parameters, of all networks or of some."""
        chosen = np.arange(state.networks) if rows is None else rows
        a, b, c, w = (take(s, chosen, LANES) for s in (state.a, state.b, state.c, state.w))
        return Weights(a, b, c[:, 0], w)

    def outermost(self, state: State, rows: Ints) -> Weights:
        """All neurons: each moves by itself."""
        return self.neurons(state, rows)

    def moments(self, state: State) -> Floats:
        """Sigma, (m, 2, 3, 3)."""
        sigma = np.empty((len(state.a), 12 * LANES))
        for g in range(len(sigma)):
            kernels.moments(state.a[g], state.b[g], state.w[g], sigma[g])
        upper = unpack(sigma, state.networks, LANES).reshape(-1, 2, 6)
        return upper[:, :, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]

    def keep(self, state: State, mask: Bools) -> State:
        """The networks where mask is true, packed anew."""
        kept = np.flatnonzero(mask)

        def select(groups: Array) -> Array:
            return pack(take(groups, kept, LANES), LANES)

        packed: dict[str, Any] = {name: select(getattr(state, name)) for name in _PACKED}
        adam = None if state.adam is None else Moments(*(select(v) for v in state.adam))
        info = Info._make(select(v) for v in state.info)
        return state._replace(networks=int(mask.sum()), adam=adam, info=info, **packed)


_TRAINED = ("a", "b", "c", "w", "outputs")
_PACKED = (*_TRAINED, "p", "step_size")


def _no_moments(groups: int, width: int) -> Moments:
    of_neurons = (groups, 3 * width * LANES)
    of_bias = (groups, LANES)
    return Moments(np.zeros(of_neurons), np.zeros(of_neurons), np.zeros(of_bias), np.zeros(of_bias))


def _copy(state: State) -> State:
    """A state whose trained arrays may be written to; the problem's own are shared."""
    arrays: dict[str, Any] = {name: getattr(state, name).copy() for name in _TRAINED}
    adam = None if state.adam is None else Moments(*(v.copy() for v in state.adam))
    return state._replace(adam=adam, info=Info._make(v.copy() for v in state.info), **arrays)


def _point_weights(state: State, g: int, minibatches: Counts | None) -> Floats:
    """Weights of the points at each step, (steps or 1, D, LANES)."""
    if minibatches is None:
        return state.p[g].reshape(1, -1, LANES)
    return minibatch_weights(minibatches, LANES)


def _descend(state: State, g: int, weights: Floats, steps: int) -> None:
    rate = weights * state.step_size[g]
    kernels.descend(
        state.a[g], state.b[g], state.c[g], state.w[g],
        state.outputs[g], state.info.max_kink[g], state.info.first_crossing[g],
        rate.ravel(), _stride(weights), *_problem(state), state.steps + 1, steps,
    )  # fmt: skip


def _adam(state: State, g: int, weights: Floats, steps: int) -> None:
    assert state.adam is not None
    moments = state.adam
    parts = [state.a[g], state.b[g], state.w[g], *_thirds(moments.m[g]), *_thirds(moments.v[g])]
    theta = np.stack([part.reshape(-1, LANES) for part in parts], axis=1)
    kernels.adam(
        theta.ravel(), state.c[g], moments.mc[g], moments.vc[g],
        state.outputs[g], state.info.max_kink[g], state.info.first_crossing[g],
        weights.ravel(), _stride(weights),
        state.step_size[g], ADAM_BETA1, ADAM_BETA2, ADAM_EPSILON,
        *_problem(state), state.steps + 1, steps,
    )  # fmt: skip
    for place, part in enumerate(parts):
        part[:] = theta[:, place].ravel()


def _thirds(array: Floats) -> list[Floats]:
    """Views of the parts for a, b and w."""
    return np.split(array, 3)


def _stride(weights: Floats) -> int:
    return 0 if len(weights) == 1 else weights[0].size


def _problem(state: State) -> tuple[tuple[float, ...], tuple[float, ...], float, Barrier]:
    x, y = state.points
    return tuple(x), tuple(y), state.leak, Barrier.of(x)

"""Training of the grouped engine: chunks in lockstep, replay up to an exit, then loose neurons.

A network that a chunk's check rejects is set back to the start of the chunk. It is replayed step by
step from there, so that what becomes of it does not depend on where chunks and windows start, up to
the step before a member leaves its group; then it is trained with loose neurons.
"""

from __future__ import annotations

import numpy as np

from mcrelu.counting import Counted, count
from mcrelu.engines.one_d import group_kernels as gk
from mcrelu.engines.one_d import group_state, loose
from mcrelu.engines.one_d.group_kernels import LANES
from mcrelu.engines.one_d.group_state import State, kept
from mcrelu.engines.one_d.lanes import lanes_last, pack, take, unpack
from mcrelu.engines.one_d.loose_kernels import LooseNetwork, descend_loose
from mcrelu.memory import chunks
from mcrelu.types import Counts, Floats

CHUNK = 50  # steps of a window between two checks of the networks


def advance(state: State, steps: int, minibatches: Counts | None) -> State:
    """Train by ``steps`` steps, on minibatches (m, D, steps) or on the whole sample."""
    moving = state.moving.copy()
    moving.reshape(len(moving), gk.ROWS, LANES)[:, gk.DONE] = 0.0
    _descend(state, moving, steps, CHUNK, minibatches)
    numbers = unpack(moving, len(state.rows), LANES)
    networks = {k: loose.copy(network) for k, network in state.loose.items()}
    steps_left = dict.fromkeys(networks, steps)
    frozen = [int(k) for k in np.flatnonzero(numbers[:, gk.LIVE] == 0.0) if k not in networks]
    last = _replay(state, numbers, frozen, minibatches)
    for few in chunks(len(frozen), state.weights.shape[1]):
        index = np.array(frozen, dtype=np.int64)[few]
        weights = state.weights.rows(state.rows[index])
        fixed = take(state.fixed, index, LANES)
        for row, k in enumerate(map(int, index)):
            before = last[few[row]]
            networks[k] = loose.all_members(weights.rows(np.array([row])), fixed[row], before)
            steps_left[k] = steps - int(before[gk.DONE])
    for k, network in networks.items():
        _train_loose(state, k, network, steps, steps_left[k], minibatches)
    count(Counted.LOOSE_NEURONS, loose.neurons(networks) - loose.neurons(state.loose))
    return state._replace(steps=state.steps + steps, moving=moving, loose=networks)


def _descend(
    state: State, moving: Floats, steps: int, chunk: int, minibatches: Counts | None
) -> None:
    """Train the groups of lanes of a state, in place."""
    barrier = group_state.barrier_of(state.points)
    if minibatches is None:
        gk.descend(moving, state.fixed, state.data, 0, state.leak, barrier, steps, chunk)
        return
    for g in range(len(moving)):
        members = slice(g * LANES, (g + 1) * LANES)
        counts = minibatches[members]
        size = float(max(int(counts[0, :, 0].sum()), 1))
        step_size = np.zeros(LANES)
        step_size[: len(counts)] = state.step_size[members]
        data = gk.minibatch_data(lanes_last(counts, LANES), step_size, size, *state.points)
        one, stride = slice(g, g + 1), gk.DATA_ROWS * LANES
        gk.descend(
            moving[one], state.fixed[one], data[None], stride, state.leak, barrier, steps, chunk
        )


def _replay(state: State, numbers: Floats, frozen: list[int], minibatches: Counts | None) -> Floats:
    """The moving numbers of networks right before the step at which a member leaves, (k, ROWS)."""
    mask = np.isin(np.arange(len(state.rows)), frozen)
    start = numbers[mask]
    start[:, gk.LIVE] = 1.0
    moving = pack(start, LANES)
    ahead = None
    if minibatches is not None:
        ahead = np.zeros((len(start), len(state.points.x), CHUNK), dtype=minibatches.dtype)
        for row, k in enumerate(frozen):
            done = int(start[row, gk.DONE])
            chunk = minibatches[k, :, done : done + CHUNK]
            ahead[row, :, : chunk.shape[1]] = chunk
    _descend(kept(state, mask), moving, CHUNK, 1, ahead)
    return unpack(moving, len(start), LANES)


def _train_loose(
    state: State, k: int, network: LooseNetwork, window: int, steps: int, minibatches: Counts | None
) -> None:
    """Train network k by the last ``steps`` steps of a window, in place."""
    if minibatches is None:
        weights = state.p[[k]]
    else:
        counts = minibatches[k, :, window - steps :].T
        weights = counts / max(int(minibatches[k, :, 0].sum()), 1)
    descend_loose(
        network,
        state.points,
        weights * state.step_size[k],
        state.leak,
        group_state.barrier_of(state.points),
        state.steps + window - steps + 1,
        steps,
    )

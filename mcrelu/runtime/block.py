"""One block: draw its networks, train them, write their shard."""

from __future__ import annotations

import os
import platform
import socket
import time
import traceback
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from mcrelu.data import point_weights, sample_size, standard_points
from mcrelu.engines import ENGINES
from mcrelu.errors import ResourceError
from mcrelu.init import INITIALIZERS, DrawnWeights
from mcrelu.rng import Draws, LegacyBatch, legacy_batches, legacy_draws, philox_draws
from mcrelu.stats.precision import k_high
from mcrelu.store.files import Files
from mcrelu.store.schema import network_rows
from mcrelu.store.shards import Provenance, publish_shard
from mcrelu.sweep.cell import Block, Cell
from mcrelu.theory.sigma import inv_lambda_max
from mcrelu.train import train
from mcrelu.types import Floats, Outcome, Problem

PACKAGES = ("mcrelu", "numpy", "numba", "ray", "torch")


@dataclass(frozen=True)
class BlockTask:
    """All that a worker needs to do a block; a few hundred bytes."""

    block: Block
    origin: Provenance
    out: str  # path or URI of the output


@dataclass(frozen=True)
class BlockDone:
    """A block whose shard is written."""

    block: Block
    seconds: float
    k_high: int  # networks that may cross


@dataclass(frozen=True)
class BlockFailed:
    """A block that raised; the same would happen again."""

    block: Block
    error: str  # one line
    traceback: str


@dataclass(frozen=True)
class StoreFailed:
    """The output could not be written: no fault of the block, and no block can go on."""

    block: Block
    error: str


BlockResult = BlockDone | BlockFailed | StoreFailed


def attempt(task: BlockTask, number: int = 1) -> BlockResult:
    """Do a block and publish its shard; exceptions become results.

    Nothing is caught so that a retry can help: a retry of a deterministic error repeats it, and
    system faults (a killed worker) never come here.
    """
    try:
        started = time.perf_counter()
        step_size, outcome = train_block(task.block, task.origin)
        seconds = time.perf_counter() - started
        rows = network_rows(task.block, step_size, outcome)
        publish_shard(Files.at(task.out), task.block, task.origin, rows, _notes(seconds, number))
    except ResourceError as error:
        return StoreFailed(task.block, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other blocks go on
        line = f"{type(error).__name__}: {error}"
        return BlockFailed(task.block, line, traceback.format_exc())
    return BlockDone(task.block, seconds, k_high(outcome.status))


def train_block(block: Block, origin: Provenance) -> tuple[Floats, Outcome]:
    """Draw and train the networks of a block: their step sizes (m,) and outcomes."""
    draws = draw_block(block, origin)
    problem = problem_of(block.cell, draws)
    minibatches = None if block.cell.optimizer == "gd" else draws.minibatches
    outcome = train(
        ENGINES[block.cell.engine](),
        problem,
        point_weights(draws.validation_counts),
        block.cell.criteria,
        block.cell.checks,
        minibatches,
    )
    return problem.step_size, outcome


def draw_block(block: Block, origin: Provenance) -> Draws:
    """Everything random about a block."""
    width, points = block.cell.width, len(standard_points().x)
    samples = sample_size(width)
    if origin.rng == "philox":
        return philox_draws(
            origin.seed, block.cell.stream, block.index, block.networks, width, points, samples
        )
    batches = [batch for batch in _legacy_batches(origin.seed) if batch.width == width]
    batch = batches[block.index]
    return legacy_draws(batch.seed, batch.networks, width, points, samples)


def problem_of(cell: Cell, draws: Draws) -> Problem:
    """The training problems that a cell makes of its draws."""
    points = standard_points(cell.offset)
    p = point_weights(draws.counts)
    weights = DrawnWeights(INITIALIZERS[cell.init], draws.a_normals, draws.w_normals)
    over_width = cell.step_rule.over_width
    if over_width is None:
        step_size = inv_lambda_max(weights, points, p, cell.leaky_slope)
    else:
        step_size = np.full(len(p), over_width / cell.width)
    return Problem(points, p, weights, step_size, cell.optimizer, cell.leaky_slope)


@cache
def versions() -> dict[str, str]:
    """Versions of what the rows depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _legacy_batches(seed: int) -> tuple[LegacyBatch, ...]:
    return tuple(legacy_batches(seed))


def _notes(seconds: float, attempt_number: int) -> dict[str, str]:
    """Metadata of a shard that its rows do not depend on, except through versions."""
    return {
        **{f"version.{package}": number for package, number in versions().items()},
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
        "device": "cpu",
        "wall_seconds": f"{seconds:.6f}",
        "attempt": str(attempt_number),
    }

"""What a sweep will cost: blocks, networks, and a forecast from a short calibration."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from mcrelu.experiments.base import experiment_of
from mcrelu.runtime.warmup import warm_up
from mcrelu.sweep.cell import Cell, Provenance
from mcrelu.sweep.sweep import Sweep

CALIBRATION_SECONDS = 2.0  # per cell, at least one round
FIRST_ROUND = 16  # networks: one group of lanes


@dataclass(frozen=True)
class CellPlan:
    """A cell and what it will take."""

    cell: Cell
    networks: int
    blocks: int
    measured: int  # networks trained to calibrate
    core_seconds: float


def plan(sweep: Sweep) -> list[CellPlan]:
    """Forecast every cell from training a few of its networks to their end; writes nothing."""
    return [_plan_cell(sweep, cell) for cell in sweep.cells]


def wall_seconds(plans: list[CellPlan], cores: int) -> float:
    """Forecast for so many cores, all busy."""
    return sum(one.core_seconds for one in plans) / cores


def local_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def _plan_cell(sweep: Sweep, cell: Cell) -> CellPlan:
    spec = sweep.spec
    size = sweep.block_size(cell)
    provenance = sweep.provenance(cell)
    warm_up(cell)
    measured, seconds = _calibrate(cell, provenance, min(size, spec.networks))
    return CellPlan(
        cell=cell,
        networks=spec.networks,
        blocks=sweep.block_count(cell),
        measured=measured,
        core_seconds=seconds / measured * spec.networks,
    )


def _calibrate(cell: Cell, provenance: Provenance, most: int) -> tuple[int, float]:
    """Train larger and larger first parts of block 0 while the time allows."""
    networks, started = min(FIRST_ROUND, most), time.perf_counter()
    while True:
        seconds = experiment_of(cell).seconds(cell, provenance, networks)
        spent = time.perf_counter() - started
        if networks == most or spent + 2 * seconds > CALIBRATION_SECONDS:
            return networks, seconds
        networks = min(2 * networks, most)

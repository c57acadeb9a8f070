"""What a sweep will cost: blocks, networks, and a forecast from a short calibration."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from mcrelu.experiments.base import experiment_of
from mcrelu.runtime.warmup import warm_up
from mcrelu.sweep.cell import Cell, Provenance, digest
from mcrelu.sweep.sweep import Sweep

CALIBRATION_SECONDS = 2.0  # per kind of cell, at least one round
# What a run takes beside its blocks: the interpreter, Ray, workers with their kernels, and at the
# end tables, figures and report. On two cores; twice that where other programs keep them busy.
START_SECONDS = 12.0
FIRST_ROUND = 16  # networks: one group of lanes


@dataclass(frozen=True)
class CellPlan:
    """A cell and what it will take."""

    cell: Cell
    networks: int
    blocks: int
    measured: int  # networks trained to calibrate
    core_seconds: float

    @property
    def kind(self) -> str:
        """Cells of one kind cost the same."""
        return digest(self.cell.alike)


@dataclass(frozen=True, repr=False)
class Plan:
    """The cells of a sweep, and what all of them will take."""

    cells: list[CellPlan]
    later_share: float  # cells that results will ask for, per cell

    @property
    def core_seconds(self) -> float:
        """Of all cells, those that are to come included."""
        return sum(one.core_seconds for one in self.cells) * (1.0 + self.later_share)

    def wall_seconds(self, cores: int) -> float:
        """Forecast for so many cores: start-up, then all busy until the end.

        No faster than the longest block.
        """
        longest = max(one.core_seconds / one.blocks for one in self.cells)
        return START_SECONDS + max(self.core_seconds / cores, longest)

    def __repr__(self) -> str:
        blocks = sum(one.blocks for one in self.cells)
        return (
            f"<mcrelu.Plan: {len(self.cells)} cells, {blocks} blocks, "
            f"about {self.core_seconds:.3g} s of one core>"
        )

    def by_kind(self) -> list[list[CellPlan]]:
        """Cells that cost the same, together."""
        kinds: dict[str, list[CellPlan]] = {}
        for one in self.cells:
            kinds.setdefault(one.kind, []).append(one)
        return list(kinds.values())


def plan(sweep: Sweep) -> Plan:
    """Forecast every cell from training a few networks of each kind; writes nothing."""
    costs: dict[str, tuple[int, float]] = {}
    cells = []
    for cell in sweep.cells:
        kind = digest(cell.alike)
        if kind not in costs:
            costs[kind] = _measure(sweep, cell)
        measured, seconds = costs[kind]
        cells.append(
            CellPlan(
                cell=cell,
                networks=sweep.spec.networks,
                blocks=sweep.block_count(cell),
                measured=measured,
                core_seconds=seconds / measured * sweep.spec.networks,
            )
        )
    return Plan(cells, sweep.spec.later_share)


def local_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def _measure(sweep: Sweep, cell: Cell) -> tuple[int, float]:
    """Networks trained, and the seconds they took."""
    warm_up(cell)
    most = min(sweep.block_size(cell), sweep.spec.networks)
    return _calibrate(cell, sweep.provenance(cell), most)


def _calibrate(cell: Cell, provenance: Provenance, most: int) -> tuple[int, float]:
    """Train larger and larger first parts of block 0 while the time allows."""
    networks, started = min(FIRST_ROUND, most), time.perf_counter()
    while True:
        seconds = experiment_of(cell).seconds(cell, provenance, networks)
        spent = time.perf_counter() - started
        if networks == most or spent + 2 * seconds > CALIBRATION_SECONDS:
            return networks, seconds
        networks = min(2 * networks, most)

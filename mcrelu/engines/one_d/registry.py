"""Engines in one dimension by name, and which one a training problem gets by default."""

from __future__ import annotations

from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.engines.one_d.protocol import AnyEngine

# The first that can train with an optimiser is its default.
ENGINES: dict[str, type[AnyEngine]] = {
    GroupedEngine.name: GroupedEngine,
    DenseEngine.name: DenseEngine,
}


def get_engine(name: str) -> AnyEngine:
    """An engine by name."""
    return ENGINES[name]()


def default_engine(optimizer: str) -> str:
    """Name of the engine that ``engine: auto`` stands for."""
    return next(name for name, engine in ENGINES.items() if optimizer in engine.optimizers)

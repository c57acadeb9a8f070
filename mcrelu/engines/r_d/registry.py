"""Engines in R^d by name."""

from __future__ import annotations

from mcrelu.engines.r_d.protocol import Engine
from mcrelu.problems.r_d import Precision

# Raised whenever the rows of an engine change. Here, since not every machine can import torch.
SEMANTICS = {"grouped": 1, "torch": 1}


def get_engine(
    name: str,
    device: str = "cpu",
    precision: Precision = "float64",
    block_size: int | None = None,
) -> Engine:
    """An engine by name; torch is imported only if it is the one.

    ``block_size``, networks per block of the sweep, bounds how many torch trains at once.

    Raises
    ------
    ResourceError
        If it needs torch and torch is not installed.
    """
    if name == "grouped":
        from mcrelu.engines.r_d.grouped import GroupedEngine

        return GroupedEngine()
    from mcrelu.engines.torch_device import require_torch

    require_torch()
    from mcrelu.engines.r_d.torch_engine import TorchEngine

    return TorchEngine(device, precision, block_size)

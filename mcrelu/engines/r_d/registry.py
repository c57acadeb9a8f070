"""Engines for networks in R^d by name."""

from __future__ import annotations

from mcrelu.engines.r_d.protocol import LayeredEngine
from mcrelu.problems.r_d import Precision


def layered_engine(
    name: str, device: str = "cpu", precision: Precision = "float64"
) -> LayeredEngine:
    """An engine by name; torch is imported only if it is the one.

    Raises
    ------
    ResourceError
        If it needs torch and torch is not installed.
    """
    if name == "grouped":
        from mcrelu.engines.r_d.grouped import PatternedEngine

        return PatternedEngine()
    from mcrelu.engines.r_d.torch_device import require_torch

    require_torch()
    from mcrelu.engines.r_d.torch_engine import TorchEngine

    return TorchEngine(device, precision)

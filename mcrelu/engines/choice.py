"""Engines for networks in R^d by name."""

from __future__ import annotations

from mcrelu.engines.layered import LayeredEngine
from mcrelu.mlp import Precision


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
        from mcrelu.engines.patterned import PatternedEngine

        return PatternedEngine()
    from mcrelu.engines.torch_device import require_torch

    require_torch()
    from mcrelu.engines.torch_mlp import TorchEngine

    return TorchEngine(device, precision)

"""Engines for minibatches by name."""

from __future__ import annotations

from mcrelu.engines.minibatch.protocol import AnyEngine
from mcrelu.problems.regression import Precision

# Raised whenever the rows of an engine change. Here, since not every machine can import torch.
SEMANTICS = {"piecewise": 1, "fused": 1, "torch": 1}


def get_engine(
    name: str, device: str = "cpu", precision: Precision = "float32", block_size: int | None = None
) -> AnyEngine:
    """An engine by name; torch is imported only if it is the one.

    Raises
    ------
    ResourceError
        If it needs torch and torch is not installed, or there is no such device.
    """
    if name == "piecewise":  # in double precision: single would save nothing
        from mcrelu.engines.minibatch.piecewise import PiecewiseEngine

        return PiecewiseEngine()
    if name == "fused":
        from mcrelu.engines.minibatch.fused import FusedEngine

        return FusedEngine(precision)
    from mcrelu.engines.torch_device import require_torch

    require_torch()
    from mcrelu.engines.minibatch.torch_engine import TorchEngine

    return TorchEngine(device, precision, block_size)

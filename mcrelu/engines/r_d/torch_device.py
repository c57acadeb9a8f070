"""Where torch can train. Beside the torch engine the only module that imports torch."""

from __future__ import annotations

import importlib.util

from mcrelu.errors import ResourceError


def require_torch() -> None:
    """See that torch is there, without importing it.

    Raises
    ------
    ResourceError
        If it is not.
    """
    if importlib.util.find_spec("torch") is None:
        raise ResourceError(
            "engine torch: torch is not installed; pip install 'mcrelu[torch]' on every node, or "
            "use cells that need only the grouped engine (depth 1, relu, float64)"
        )


def device_here(wish: str) -> str:
    """The device of this process for ``device: auto | cpu | cuda``.

    Raises
    ------
    ResourceError
        If torch is not installed, or CUDA is asked for and torch finds no such device.
    """
    require_torch()
    if wish == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wish == "cuda":
        raise ResourceError(
            "device = 'cuda': torch finds no CUDA device on this machine; "
            "use device auto or cpu, or join a cluster with GPUs by --address"
        )
    return "cpu"

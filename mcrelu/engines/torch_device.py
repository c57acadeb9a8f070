"""Where torch can train. Beside the torch engines the only module that imports torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
            "use cells that another engine can train (README.md, engines)"
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


def tensor_like(precision: str, device: str) -> Any:
    """An empty tensor of a type on a device.

    Raises
    ------
    ResourceError
        If there is no such device.
    """
    import torch

    try:
        return torch.empty(0, dtype=getattr(torch, precision), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ResourceError(
            f"device {device!r} cannot be used ({reason}); cpu is always there"
        ) from None


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

"""The one place that says how kernels are compiled."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast

import numba
import numba.extending
from numba import types

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Arguments = ParamSpec("Arguments")

_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(rb"^from (mcrelu[.\w]*) import", re.MULTILINE)


def jit(
    inline: Literal["never", "always"] = "never", reorder: bool = False
) -> Callable[[Kernel], Kernel]:
    """Compile a kernel on its first call, or read it from numba's cache.

    A division by zero is infinite or NaN as in numpy.

    Parameters
    ----------
    reorder : whether LLVM may reorder sums and contract products with them
        Rows then depend on the kind of CPU, as they do with BLAS. Without it they do not.
    """
    fastmath = {"reassoc", "contract"} if reorder else False
    wrapper = numba.njit(
        nogil=True, cache=True, error_model="numpy", inline=inline, fastmath=fastmath
    )

    def compiled(kernel: Kernel) -> Kernel:
        dispatcher = wrapper(kernel)
        _tell_changes(dispatcher, kernel.__module__)
        return cast("Kernel", dispatcher)

    return compiled


def _tell_changes(dispatcher: Any, module: str) -> None:
    """Let numba's cache forget a kernel if a module changes whose kernels may be part of its code.

    By itself numba looks at the file of the kernel alone, and would go on with old code.
    """
    file = dispatcher._cache._cache_file  # noqa: SLF001 - it has no public name
    file._source_stamp = source_stamp(module)  # noqa: SLF001


@cache
def source_stamp(module: str) -> str:
    """A hash of the source of a module of the package and of all that it imports from it."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(_with_imports(module, set())):
        total.update(_source(name))
    return total.hexdigest()


def _with_imports(module: str, found: set[str]) -> set[str]:
    """The modules of the package that one needs, itself included; ``found`` are known already."""
    if module not in found:
        found.add(module)
        for name in _IMPORT.findall(_source(module)):
            _with_imports(name.decode(), found)
    return found


@cache
def _source(module: str) -> bytes:
    """The source of a module of the package; nothing of others."""
    package, *parts = module.split(".")
    path = _PACKAGE.joinpath(*parts)
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_bytes() if package == _PACKAGE.name and path.is_file() else b""


def intrinsic(
    function: Callable[Concatenate[Any, Arguments], Any],
) -> Callable[Arguments, Any]:
    """Numba's decorator; kernels call the result without the typing context."""
    return cast("Callable[Arguments, Any]", numba.extending.intrinsic(function))


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001 - numba's protocol
    """One rounding for a b + c, on every CPU: contraction asked for, not left to LLVM."""
    signature = types.float64(types.float64, types.float64, types.float64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.fma(*arguments)

    return signature, generate


@intrinsic
def wide_vectors(typingctx: Any) -> Any:  # noqa: ARG001 - numba's protocol
    """Let the calling kernel use vectors of 512 bits where the CPU has them.

    LLVM avoids them on CPUs of Intel's, for the sake of code around the vectors; kernels have none.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        # llvmlite knows the flags of LLVM by name, but not its attributes with values.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate

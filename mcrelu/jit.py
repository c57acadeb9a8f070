"""The one place that says how kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast

import numba
import numba.extending
from numba import types

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Arguments = ParamSpec("Arguments")


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
    return cast("Callable[[Kernel], Kernel]", wrapper)


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

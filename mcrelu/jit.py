"""The one place that says how kernels are compiled."""

from __future__ import annotations

from functools import partial

import numba
from numba import types
from numba.extending import intrinsic

# No fastmath: contraction or reassociation would make rows depend on the kind of CPU.
jit = partial(numba.njit, nogil=True, cache=True, error_model="numpy")


@intrinsic
def fma(typingctx, a, b, c):  # noqa: ARG001 - numba's protocol
    """One rounding for a b + c, on every CPU: contraction asked for, not left to LLVM."""
    signature = types.float64(types.float64, types.float64, types.float64)

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        return builder.fma(*arguments)

    return signature, generate


@intrinsic
def wide_vectors(typingctx):  # noqa: ARG001 - numba's protocol
    """Let the calling kernel use vectors of 512 bits where the CPU has them.

    LLVM avoids them on CPUs of Intel's, for the sake of code around the vectors; kernels have none.
    """

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        # llvmlite knows the flags of LLVM by name, but not its attributes with values.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate

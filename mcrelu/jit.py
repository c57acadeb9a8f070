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

"""The one place that says how kernels are compiled."""

from __future__ import annotations

from functools import partial

import numba

# No fastmath: contraction or reassociation would make rows depend on the kind of CPU.
jit = partial(numba.njit, nogil=True, cache=True, error_model="numpy")

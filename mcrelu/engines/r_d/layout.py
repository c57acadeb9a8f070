"""Where the numbers of groups lie in memory: the one home of the index arithmetic.

Matrices of size q x q (P and the second moments S) are stored for LANES groups at a time, entry by
entry, so that one vector holds the same entry of eight groups (LANES = 8, written as 4 here)::

    groups                0 1 2 3   0 1 2 3         0 1 2 3     4 5 6 7   4 5 6 7
    entry                 (0, 0)    (0, 1)    ...   (q-1, q-1)  (0, 0)    (0, 1)    ...
                         |_________|                           |
                         one vector                            first_entry(4, q) = LANES q q

Vectors per group (v, u) are stored component by component, over all groups::

    groups                0 1 2 3 4 5 .. G-1    0 1 2 3 4 5 .. G-1
    component             0                     1                     ...

and so are the sums per column, over all R columns. Components of the points go over all K * LANES
places: K vectors, each with one slot of eight neighbouring columns. Three columns of 4, 3 and 1
points, with the points j of a column in its slots from the top (vectors of 4)::

    column                0 1 2 .
    slot 0                j j j .     vector 0, begins at column 0
    slot 1                j j . .     vector 1, begins at column 0
    slot 2                j j . .     vector 2
    slot 3                j . . .     vector 3

Columns with more points come first, so the later slots need fewer vectors. Gaps have weight 0.
"""

from __future__ import annotations

from mcrelu.engines.r_d.vectors import LANES
from mcrelu.jit import jit


@jit(inline="always")
def padded(number: int) -> int:
    """The next multiple of LANES."""
    return (number + LANES - 1) // LANES * LANES


@jit(inline="always")
def first_entry(group: int, q: int) -> int:
    """Where entry (0, 0) of a group's matrix is; of its whole vector if LANES divides group."""
    return group // LANES * (q * q * LANES) + group % LANES


@jit(inline="always")
def entry(first: int, row: int, column: int, q: int) -> int:
    """Where an entry of the matrix is whose entry (0, 0) is at ``first``."""
    return first + (row * q + column) * LANES

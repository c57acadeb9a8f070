"""Networks with one input as what they are: continuous and piecewise affine in x.

Points are sorted. A neuron is active on the points to the right of its kink if a > 0, else on those
to its left, so all that a step needs of it is its *place*: how many points lie left of its kink. To
the output the neuron adds the slope w a and the intercept w b on its side; sums of these along the
points are the slope and the intercept of f at each point. Sums of the residuals along the points
then are the gradients: a neuron's is read off at its place. A step costs n + N, whatever the order
in which points and kinks lie, and is exact up to the order of the sums.

Whether a neuron is active is decided by a x + b > 0, computed as written, at every step: it is
checked at the two points beside its place, and where that fails the place is sought again.

Glossary
--------
place : number of points left of the kink, 0..N
turn : |a|'s part of the output: (w a, w b) with the sign of a, what f's slope and intercept gain
    from left to right at the place
"""

from __future__ import annotations

import numpy as np

from mcrelu.engines.minibatch.aligned import aligned, aligned_copy, aligned_rows
from mcrelu.engines.minibatch.descent_kernels import descend
from mcrelu.jit import jit, wide_vectors
from mcrelu.shuffles import shuffle
from mcrelu.types import Array, Bools, Floats, Ints

FAR = 1e300  # stands for a point beyond all others
COPIES = 4  # of the sums at the places: neurons of one place need not wait for each other
_NEAR = 4  # points by which a place is sought step by step, before it is sought by bisection
_ONE = np.uint64(1)


@jit()
def find_places(
    x: Floats, a: Floats, b: Floats, moved: Bools, place: Array, left: Floats, right: Floats
) -> None:
    """Correct the places (n) of the neurons that have ``moved``, and the points beside them.

    x (N) ascending; moved (n, filled up to a multiple of 8) is read 8 neurons at a time.
    """
    eights = moved.view(np.uint64)
    for eight in range(len(eights)):
        if eights[eight]:
            for i in range(8 * eight, min(8 * eight + 8, len(a))):
                if moved[i]:
                    k = _place_from(x, a[i], b[i], np.int64(place[i]))
                    place[i] = np.uint64(k)
                    left[i] = x[k - 1] if k > 0 else -FAR
                    right[i] = x[k] if k < len(x) else FAR


@jit()
def _place_from(x: Floats, a: float, b: float, place: np.int64) -> np.int64:
    """The place of a neuron, sought from where it was; NaN is active nowhere."""
    rising = a > 0.0
    for _ in range(_NEAR):
        if place < len(x) and (a * x[place] + b > 0.0) != rising:
            place += 1
        elif place > 0 and (a * x[place - 1] + b > 0.0) == rising:
            place -= 1
        else:
            return place
    low, high = np.int64(0), np.int64(len(x))
    while low < high:
        middle = (low + high) >> 1
        if (a * x[middle] + b > 0.0) != rising:
            low = middle + 1
        else:
            high = middle
    return low


@jit()
def has_moved(a: Floats, b: Floats, left: Floats, right: Floats, moved: Bools) -> bool:
    """Mark the neurons whose kink is no longer between the points beside its place."""
    wide_vectors()
    count = 0
    for i in range(len(a)):
        rising = a[i] > 0.0
        there = (a[i] * left[i] + b[i] > 0.0) == rising
        here = (a[i] * right[i] + b[i] > 0.0) != rising
        moved[i] = there | here
        count += moved[i]
    return count > 0


@jit()
def add_turns(
    a: Floats, b: Floats, w: Floats, place: Array, scratch: Floats, sums: Floats
) -> tuple[float, float]:
    """Add up the turns of all neurons by place; what is active left of all points is returned.

    Returns the slope and the intercept (without c) of f there. sums (2 COPIES (N + 1)) is slope and
    intercept of each copy, place by place; scratch (4, n).
    """
    slopes, intercepts = scratch[0], scratch[1]
    _turns(a, b, w, slopes, intercepts, scratch[2], scratch[3])
    sums[:] = 0.0
    n = len(a)
    whole = n - n % COPIES
    for i in range(0, whole, COPIES):
        for copy in range(COPIES):
            k = place[i + copy] * np.uint64(2 * COPIES) + np.uint64(2 * copy)
            sums[k] += slopes[i + copy]
            sums[k + _ONE] += intercepts[i + copy]
    for i in range(whole, n):
        k = place[i] * np.uint64(2 * COPIES)
        sums[k] += slopes[i]
        sums[k + _ONE] += intercepts[i]
    return total(scratch[2]), total(scratch[3])


@jit()
def _turns(
    a: Floats, b: Floats, w: Floats,
    slopes: Floats, intercepts: Floats, first_slopes: Floats, first_intercepts: Floats,
) -> None:  # fmt: skip
    wide_vectors()
    for i in range(len(a)):
        slope, intercept = w[i] * a[i], w[i] * b[i]
        rising = a[i] > 0.0
        slopes[i] = slope if rising else -slope
        intercepts[i] = intercept if rising else -intercept
        first_slopes[i] = 0.0 if rising else slope
        first_intercepts[i] = 0.0 if rising else intercept


@jit()
def total(values: Array) -> float:
    """Sum of a vector, which is overwritten: halves are added up, so that LLVM can vectorise."""
    wide_vectors()
    length = len(values)
    while length > 1:
        half = (length + 1) >> 1
        upper = values[half:length]
        for i in range(len(upper)):
            values[i] += upper[i]
        length = half
    return values[0]


@jit()
def squared_error(x: Floats, y: Floats, slope: float, intercept: float, sums: Floats) -> float:
    """Sum over the points of (f - y)^2."""
    error = 0.0
    for j in range(len(x)):
        slope, intercept = _after_place(slope, intercept, sums, j)
        residual = slope * x[j] + intercept - y[j]
        error += residual * residual
    return error


@jit()
def add_residuals(
    x: Floats, y: Floats, share: Floats, slope: float, intercept: float, sums: Floats,
    by_x: Floats, plain: Floats,
) -> None:  # fmt: skip
    """Running sums of residual x and residual over the points left of each place, (N + 1).

    A residual is share (f - y); ``share`` (N) is zero outside the minibatch.
    """
    by_x[0] = plain[0] = first = zeroth = 0.0
    for j in range(len(x)):
        slope, intercept = _after_place(slope, intercept, sums, j)
        residual = share[j] * (slope * x[j] + intercept - y[j])
        zeroth += residual
        first += residual * x[j]
        plain[j + 1], by_x[j + 1] = zeroth, first


@jit(inline="always")
def _after_place(slope: float, intercept: float, sums: Floats, place: int) -> tuple[float, float]:
    """Slope and intercept of f right of a place, from those left of it."""
    k = 2 * COPIES * place
    slope += (sums[k] + sums[k + 2]) + (sums[k + 4] + sums[k + 6])
    intercept += (sums[k + 1] + sums[k + 3]) + (sums[k + 5] + sums[k + 7])
    return slope, intercept


@jit()
def read_gradients(
    a: Floats, b: Floats, w: Floats, place: Array, by_x: Floats, plain: Floats,
    scratch: Floats, gradient: Floats,
) -> None:  # fmt: skip
    """The gradient (3 n + 1) in the order of the parameters: a, b, w, c."""
    n, points = len(a), len(plain) - 1
    left_by_x, left_plain = scratch[0], scratch[1]
    for i in range(n):
        k = place[i]
        left_by_x[i], left_plain[i] = by_x[k], plain[k]
    gradient[3 * n] = plain[points]
    _products(
        a, b, w, left_by_x, left_plain, by_x[points], plain[points],
        gradient[:n], gradient[n : 2 * n], gradient[2 * n : 3 * n],
    )  # fmt: skip


@jit()
def _products(
    a: Floats, b: Floats, w: Floats, left_by_x: Floats, left_plain: Floats,
    all_by_x: float, all_plain: float, by_a: Floats, by_b: Floats, by_w: Floats,
) -> None:  # fmt: skip
    wide_vectors()
    for i in range(len(a)):
        rising = a[i] > 0.0
        first = all_by_x - left_by_x[i] if rising else left_by_x[i]
        zeroth = all_plain - left_plain[i] if rising else left_plain[i]
        by_a[i], by_b[i] = w[i] * first, w[i] * zeroth
        by_w[i] = a[i] * first + b[i] * zeroth


@jit()
def train(
    x: Floats, y: Floats, rank: Ints, batch: int,
    k0: np.uint64, k1: np.uint64, network: np.uint64, first_epoch: int, epochs: int,
    rule: int, rates: Floats, epsilons: Floats,
    theta: Floats, memory: Floats, place: Array,
) -> None:  # fmt: skip
    """Train one network by some epochs; theta (3 n + 1), memory and place (n) are changed.

    ``rank`` (N) is where the k-th point, as it was drawn, stands among the sorted ones. Training
    ends where the sum of the residuals is NaN or infinite.
    """
    points, n = len(x), (len(theta) - 1) // 3
    own, gradient = aligned_copy(theta), aligned(3 * n + 1, theta)
    kept = aligned_rows(memory)
    a, b, w = own[:n], own[n : 2 * n], own[2 * n : 3 * n]
    left, right, moved = aligned(n, theta), aligned(n, theta), all_moved(n)
    sums, scratch = aligned(2 * COPIES * (points + 1), theta), aligned(4 * n, theta).reshape(4, n)
    by_x, plain = np.empty(points + 1), np.empty(points + 1)
    share, order = np.full(points, 2.0 / batch), np.empty(points, dtype=np.int64)
    find_places(x, a, b, moved, place, left, right)
    batches, steps = points // batch, first_epoch * (points // batch)
    for epoch in range(first_epoch, first_epoch + epochs):
        if batches > 1:
            shuffle(k0, k1, network, np.uint64(epoch), order)
        for k in range(batches):
            if batches > 1:
                share[:] = 0.0
                for i in order[k * batch : (k + 1) * batch]:
                    share[rank[i]] = 2.0 / batch
            slope, intercept = add_turns(a, b, w, place, scratch, sums)
            add_residuals(x, y, share, slope, intercept + own[3 * n], sums, by_x, plain)
            read_gradients(a, b, w, place, by_x, plain, scratch, gradient)
            descend(rule, own, gradient, kept, rates, epsilons, n, steps)
            steps += 1
            if not np.isfinite(plain[points]):
                theta[:], memory[:] = own, kept[:, : len(own)]
                return
            if has_moved(a, b, left, right, moved):
                find_places(x, a, b, moved, place, left, right)
    theta[:], memory[:] = own, kept[:, : len(own)]


@jit()
def sum_of_squares(x: Floats, y: Floats, theta: Floats, place: Array) -> float:
    """Squared error of one network summed over points; ``place`` is where to begin to look."""
    n = (len(theta) - 1) // 3
    own = aligned_copy(theta)
    a, b, w = own[:n], own[n : 2 * n], own[2 * n : 3 * n]
    sums, scratch = aligned(2 * COPIES * (len(x) + 1), theta), aligned(4 * n, theta).reshape(4, n)
    find_places(x, a, b, all_moved(n), place, scratch[0], scratch[1])
    slope, intercept = add_turns(a, b, w, place, scratch, sums)
    return squared_error(x, y, slope, intercept + own[3 * n], sums)


@jit()
def all_moved(neurons: int) -> Bools:
    """Marks of all neurons, filled up to a multiple of 8."""
    return np.ones((neurons + 7) // 8 * 8, dtype=np.bool_)

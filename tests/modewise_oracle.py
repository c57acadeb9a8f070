"""The modewise criterion for one network, written line by line from docs/method.md 2.1.

Loops over modes, sides and spans; the only library is numpy.linalg. Negative controls leave out one
of the ``PARTS`` of the bound, named in ``without``. Samples must determine all four modes.

Glossary
--------
drive : L, (4, 4), rows (r, s) of the side x > 0 and (r, s) of the other one, a column per mode
s : (4,) path sums, bounds on sum_k h |c_i,k|
steps : (4,) bounds on the largest h |c_i,k|
K, H : (4,) path sums and largest steps of h u'_q
sigma : one (3, 3) matrix per side
"""

from __future__ import annotations

from itertools import pairwise
from math import cosh, inf, sinh, sqrt
from typing import NamedTuple

import numpy as np
from criterion_oracle import (
    a_ref,
    data_moments_of_side,
    mixing,
    moments_of_side,
    residuals_of_side,
    thetas,
)

from mcrelu.problems.one_d import Weights
from mcrelu.types import Floats, PointSet

A, B, W = 0, 1, 2
AB = (A, B)
SIDES, SIGMAS = (1, -1), (1, -1)
PARTS = frozenset({
    "first order", "second order", "higher orders", "at once", "odd", "even", "rest", "path"
})  # fmt: skip
ALL: frozenset[str] = frozenset()  # nothing is left out

ITERATIONS, SLACK, LARGEST_RHO, LAST_SPAN = 40, 1.01, 2.0, 2**18
NOISE, ROUNDING, MARGIN = 1e-12, 1e-9, 1e-9


class Modes(NamedTuple):
    """The linear dynamics of one network."""

    h: float
    mu: Floats  # (4,)
    tau: Floats  # (4,)
    c: Floats  # (4,)
    drive: Floats  # (4, 4)
    sigma: list[Floats]
    noise: float  # rounding of the entries of N
    to_modes: Floats  # (4, 4) V^T R^+: from u_hat to c


class Reach(NamedTuple):
    """What path sums allow, one entry per side."""

    path: list[Floats]  # (K_r, K_s)
    step: list[Floats]  # (H_r, H_s)
    odd: list[float]  # o
    even: list[float]  # e
    growth: list[Floats]  # E - I
    change: list[Floats]  # D


class Direction(NamedTuple):
    """How far z of one side and sign can be pushed."""

    low: float
    high: float
    path: float
    step: float

    @property
    def size(self) -> float:
        """Y."""
        return max(-self.low, self.high)


class Verdict(NamedTuple):
    """What the criterion finds, stage by stage."""

    sums: Floats | None  # path sums, if there are any
    directions: dict[tuple[int, int], Direction]  # of z by side (1 or -1) and sigma
    across: dict[tuple[int, int], Direction]  # and of z'
    reach: Reach | None
    certified: bool
    closeness: float  # relative distance to the boundary of the closest decision


def linear_dynamics(
    net: Weights, points: PointSet, p: Floats, h: float, alpha: float = 0.0
) -> Modes:
    """Eigenpairs of R A_ref R, R = M^(1/2), and the residuals mode by mode."""
    sigma = [moments_of_side(net, side) for side in SIDES]
    root = np.zeros((4, 4))
    for k, side in enumerate(SIDES):
        values, vectors = np.linalg.eigh(data_moments_of_side(points, p, side))
        positive = np.sqrt(np.maximum(values, 0.0))
        root[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = vectors @ np.diag(positive) @ vectors.T
    u_hat = np.concatenate(
        [residuals_of_side(net, points, p, side, sigma, alpha) for side in SIDES]
    )
    eigenvalues, v = np.linalg.eigh(root @ a_ref(sigma, alpha) @ root)
    mu = 1.0 - h * eigenvalues
    with np.errstate(divide="ignore"):
        tau = h / (1.0 - abs(mu))
    to_modes = v.T @ np.linalg.pinv(root)
    return Modes(
        h, mu, tau, to_modes @ u_hat, mixing(alpha) @ root @ v, sigma, NOISE * max(eigenvalues),
        to_modes,
    )  # fmt: skip


def reach_of(
    drive: Floats, sigma: list[Floats], s: Floats, steps: Floats, without: frozenset[str] = ALL
) -> Reach:
    """K, H, o, e, E - I and D of both sides."""
    found = Reach([], [], [], [], [], [])
    for side in range(2):
        own = drive[2 * side : 2 * side + 2]
        k_r, k_s = abs(own) @ s
        rho = sum(s[i] * np.linalg.norm(own[:, i]) for i in range(4))
        odd, even = remainders(rho, without)
        first, second, rest = orders(k_r, k_s, odd, even)
        growth, size = first + second + rest, abs(sigma[side])
        found.path.append(np.array([k_r, k_s]))
        found.step.append(abs(own) @ steps)
        found.odd.append(odd)
        found.even.append(even)
        found.growth.append(growth)
        found.change.append((np.eye(3) + growth) @ size @ (np.eye(3) + growth).T - size)
    return found


def remainders(rho: float, without: frozenset[str] = ALL) -> tuple[float, float]:
    """Bounds on sinh rho - rho and cosh rho - 1 - rho^2 / 2."""
    if rho**2 >= 20.0:
        return inf, inf
    odd = rho**3 / 6.0 / (1.0 - rho**2 / 20.0)
    even = rho**4 / 24.0 / (1.0 - rho**2 / 30.0)
    rounding = 1e-15 * cosh(rho)
    assert odd >= sinh(rho) - rho - rounding
    assert even >= cosh(rho) - 1.0 - rho**2 / 2.0 - rounding
    return 0.0 if "odd" in without else odd, 0.0 if "even" in without else even


def orders(k_r: float, k_s: float, odd: float, even: float) -> tuple[Floats, Floats, Floats]:
    """E - I by degree: in K, in K squared, and the remainders."""
    first = np.array([[0.0, 0.0, k_r], [0.0, 0.0, k_s], [k_r, k_s, 0.0]])
    second = np.array(
        [
            [k_r**2 / 2, k_r * k_s, 0.0],
            [k_r * k_s, k_s**2 / 2, 0.0],
            [0.0, 0.0, (k_r**2 + k_s**2) / 2],
        ]
    )
    rest = np.array([[even, even, odd], [even, even, odd], [odd, odd, even]])
    return first, second, rest


def higher_degrees(reach: Reach, sigma: list[Floats], side: int) -> Floats:
    """D'' of a side, (2, 2), term by term so that nothing cancels."""
    k_r, k_s = reach.path[side]
    first, second, rest = orders(k_r, k_s, reach.odd[side], reach.even[side])
    size, higher = abs(sigma[side]), second + rest
    d = rest @ size + size @ rest  # what is left of the terms with one factor of E - I
    d += first @ size @ higher + higher @ size @ first + higher @ size @ higher
    return d[:2, :2] + d[W, W] * np.eye(2)


def potential(k_1: float, k_2: float, s: Floats, first: int, second: int) -> float:
    """Phi of the coordinate ``first``, A for r and B for s."""
    aa, bb, ww, ab = (abs(s[i, j]) for i, j in ((first,) * 2, (second,) * 2, (W, W), (A, B)))
    return float(
        2 / 3 * (aa + ww) * k_1**3
        + 2 * ab * k_1**2 * k_2
        + max(bb + ww, (aa + bb + ww) / 2) * k_1 * k_2**2
        + ab / 6 * k_2**3
    )


def first_order_changes(drive: Floats, sigma: list[Floats]) -> Floats:
    """g_ijn, with its sign."""
    g = np.zeros((4, 4, 4))
    for side in range(2):
        own = drive[2 * side : 2 * side + 2]
        gram, v = own.T @ own, own.T @ sigma[side][W, :2]
        for i in range(4):
            for j in range(4):
                for n in range(4):
                    g[i, j, n] += 2 * gram[i, j] * v[n] + gram[i, n] * v[j] + gram[j, n] * v[i]
    return g


def excitation(
    drive: Floats,
    sigma: list[Floats],
    s: Floats,
    steps: Floats,
    noise: float = 0.0,
    without: frozenset[str] = ALL,
) -> Floats:
    """Q: bounds on sum_k h |(N_k c_k)_i|."""
    reach, g = reach_of(drive, sigma, s, steps, without), abs(first_order_changes(drive, sigma))
    pull = np.concatenate([pulls(reach, sigma, side, without) for side in range(2)])
    q = abs(drive.T) @ pull
    for i in range(4):
        for j in range(4):
            if "first order" not in without:
                q[i] += g[i, j, j] * s[j] ** 2 / 2
                q[i] += sum(max(g[i, j, n], g[i, n, j]) * s[n] * s[j] for n in range(j))
            q[i] += noise * s[j]
    return q


def pulls(reach: Reach, sigma: list[Floats], side: int, without: frozenset[str]) -> Floats:
    """Phi, D'' and the simultaneous motion, for r and for s."""
    (k_r, k_s), s, total = reach.path[side], sigma[side], np.zeros(2)
    if "second order" not in without:
        total += [potential(k_r, k_s, s, A, B), potential(k_s, k_r, s, B, A)]
    if "higher orders" not in without:
        total += higher_degrees(reach, sigma, side) @ reach.path[side]
    if "at once" not in without:
        moved = abs(s[W, :2]) + reach.change[side][W, :2]
        total += reach.step[side] * (moved @ reach.path[side])
    return total


def steps_of(modes: Modes, s: Floats) -> Floats:
    """The largest h |c_i,k|."""
    return (1.0 - abs(modes.mu)) * s


def path_sums(modes: Modes, without: frozenset[str] = ALL) -> tuple[Floats | None, float]:
    """Path sums with F(s) <= s, and how close the decisions on the way were."""
    if not (abs(modes.mu) < 1.0).all():
        return None, float(abs(abs(modes.mu) - 1.0).min())
    linear, rest, closeness = modes.tau * abs(modes.c), np.zeros(4), inf
    for _ in range(ITERATIONS):
        s = linear + rest
        rho = max(
            sum(s[i] * np.linalg.norm(modes.drive[2 * k : 2 * k + 2, i]) for i in range(4))
            for k in range(2)
        )
        closeness = min(closeness, abs(rho / LARGEST_RHO - 1.0))
        if rho >= LARGEST_RHO:
            return None, closeness
        q = excitation(modes.drive, modes.sigma, s, steps_of(modes, s), modes.noise, without)
        needed = modes.tau * q
        if needed.any() and rest.any():
            closeness = min(closeness, abs((needed / rest).max() - 1.0))
        if (needed <= rest).all():
            return s, closeness
        rest = SLACK * needed
    return None, closeness


def spans() -> list[tuple[float, float]]:
    """Steps 1 to 2, 2 to 3, 3 to 4, 4 to 6, 6 to 8, .., and from the last power on."""
    times: list[float] = sorted({2**k for k in range(19)} | {3 * 2**k for k in range(17)})
    assert times[-1] == LAST_SPAN
    return [*pairwise(times), (times[-1], inf)]


def partial_sums(modes: Modes, i: int, t: float) -> float:
    """sum_(k < t) h mu^k c of mode i, mu >= 0."""
    return float(modes.c[i] * modes.tau[i] * (1.0 - modes.mu[i] ** t))


def interval(modes: Modes, row: Floats, final_only: bool = False) -> tuple[float, float]:
    """Lowest and highest sum_i row_i x_i of the linear dynamics; final_only: a negative control."""
    low = high = 0.0
    for begin, end in [(inf, inf)] if final_only else spans():
        ends = np.empty((4, 2))
        for i in range(4):
            if modes.mu[i] < 0.0:
                ends[i] = np.array([1.0 + modes.mu[i], 1.0]) * modes.h * modes.c[i]
            else:
                ends[i] = partial_sums(modes, i, begin), partial_sums(modes, i, end)
        ends *= row[:, None]
        low, high = min(low, ends.min(axis=1).sum()), max(high, ends.max(axis=1).sum())
    return low, high


def direction_row(drive: Floats, side: int, sigma: int, distance: float = 1.0) -> Floats:
    """The row of L that pushes z, (4,).

    The row across, that of z', is the one of -sigma and 1 / distance.
    """
    first = 0 if side > 0 else 2
    row = distance * side * drive[first] + sigma * drive[first + 1]
    return row / sqrt(1.0 + distance**2)


def distance_of(points: PointSet, side: int, sigma: int) -> float:
    """How far the points are that the condition with sigma keeps kinks of a side away from."""
    toward = points.x * side * sigma
    return float(toward[toward > 0].min())


def direction(
    modes: Modes, s: Floats, side: int, sigma: int, without: frozenset[str] = ALL,
    distance: float = 1.0,
) -> Direction:  # fmt: skip
    """The interval of X and its path sum and largest step."""
    row = direction_row(modes.drive, side, sigma, distance)
    path, step = float(abs(row) @ s), float(abs(row) @ steps_of(modes, s))
    low, high = interval(modes, row, final_only="path" in without)
    rest = 0.0 if "rest" in without else float(abs(row) @ (s - modes.tau * abs(modes.c)))
    rest += ROUNDING * path
    return Direction(low - rest, high + rest, path, step)


def least_z(
    z: float,
    other: float,
    w: float,
    own: Direction,
    across: Direction,
    remainder: tuple[float, float],
    without: frozenset[str] = ALL,
) -> float:
    """The left-hand side of the neurons' condition."""
    odd, even = remainder
    least = z + min(w * own.low, w * own.high)
    if "second order" not in without:
        least -= own.step * own.path / 2 * z
        least -= min(own.path * across.size, (own.high - own.low) * across.path) * other
    return least - odd * abs(w) - even * sqrt(z**2 + other**2)


def judge(net: Weights, points: PointSet, p: Floats, h: float, alpha: float = 0.0) -> Verdict:
    """Decide on one network, net.a, net.b, net.w (n,) and net.c a number."""
    modes = linear_dynamics(net, points, p, h, alpha)
    sums, closeness = path_sums(modes)
    if sums is None:
        return Verdict(None, {}, {}, None, False, closeness)
    far = {(i, j): distance_of(points, i, j) for i in SIDES for j in SIGMAS}
    own = {(i, j): direction(modes, sums, i, j, ALL, far[i, j]) for i, j in far}
    across = {(i, j): direction(modes, sums, i, -j, ALL, 1.0 / far[i, j]) for i, j in far}
    reach, certified = reach_of(modes.drive, modes.sigma, sums, steps_of(modes, sums)), True
    for a, b, w in thetas(net):
        side = 1 if a > 0 else -1
        k = SIDES.index(side)
        for sign in SIGMAS:
            distance = far[side, sign]
            norm = sqrt(1.0 + distance**2)
            z, other = (distance * abs(a) + sign * b) / norm, (abs(a) - sign * distance * b) / norm
            least = least_z(
                z, abs(other), w, own[side, sign], across[side, sign],
                (reach.odd[k], reach.even[k]),
            ) - MARGIN * abs(a)  # fmt: skip
            certified = certified and z > 0.0 and least > 0.0
            closeness = min(closeness, abs(z / a), abs(least / a))
    return Verdict(sums, own, across, reach, certified, closeness)

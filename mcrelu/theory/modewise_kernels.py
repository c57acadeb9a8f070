"""Compiled forms of theory/modewise.py, whose glossary holds here.

Every function takes and gives C-contiguous float64 arrays; those of one network have shapes without
the leading m.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from mcrelu.jit import jit
from mcrelu.problems.one_d import Barrier
from mcrelu.types import Bools, Floats

SPANS = 36  # of time: steps 1 to 2, 2 to 3, 3 to 4, 4 to 6, 6 to 8, .., and all after 2^18
ITERATIONS = 40  # of the path sums; most converge in less than ten, or never
SLACK = 1.01  # by which the nonlinear path sums are overestimated, so that the iteration ends
LARGEST_RHO = 2.0  # the bounds on the remainders hold up to sqrt 20, but nothing else does there
ROUNDING_OF_MATRIX = 1e-12  # of the training matrix, in units of its largest eigenvalue
ROUNDING_OF_SUMS = 1e-9  # of partial sums, in units of the path sums
MARGIN = 1e-9  # of a neuron's distances, in units of |a|


class Dynamics(NamedTuple):
    """One network: its linear dynamics by mode, and how motions change it."""

    size: Floats  # (4,) |c_i|
    tau: Floats  # (4,) h / (1 - |mu_i|)
    gap: Floats  # (4,) 1 - |mu_i|
    drive: Floats  # (4, 4) |L|; row 2 side + q, q = 0 for r and 1 for s
    norm: Floats  # (2, 4) of the columns of L on either side
    sigma: Floats  # (2, 3, 3) |Sigma|
    bend: Floats  # (4, 4, 4) |g_ijl|
    rounding: Floats  # (1,) of the entries of the training matrix


class Reach(NamedTuple):
    """What path sums allow; rows of four are 2 side + q."""

    sums: Floats  # (4,) path sums s by mode
    rest: Floats  # (4,) their part that is not the linear dynamics'
    path: Floats  # (4,) K
    step: Floats  # (4,) H
    odd: Floats  # (2,) remainder of the odd orders from the third on
    even: Floats  # (2,) remainder of the even orders from the fourth on
    higher: Floats  # (4,) what the second and all higher orders add to the excitation
    growth: Floats  # (3, 3) E - I of one side
    grown: Floats  # (3, 3) (E - I) |Sigma|
    change: Floats  # (3, 3) D


class Spans(NamedTuple):
    """Between what the partial sums x_l of the linear dynamics lie in each span of time."""

    begin: Floats  # (4, SPANS) x_l at its first step
    end: Floats  # (4, SPANS) and at its last
    low: Floats  # (SPANS,) of a linear combination of them
    high: Floats  # (SPANS,)


@jit()
def components(vectors: Floats, psi: Floats) -> Floats:
    """V^T psi: vectors (m, 4, 4) in columns, psi (m, 4) -> (m, 4)."""
    c = np.zeros_like(psi)
    for k in range(len(psi)):
        for j in range(4):
            for i in range(4):
                c[k, i] += vectors[k, j, i] * psi[k, j]
    return c


@jit()
def drives(roots: Floats, vectors: Floats, alpha: float) -> Floats:
    """L = B M^(1/2) V: roots (m, 2, 2, 2), vectors (m, 4, 4) in columns -> (m, 4, 4)."""
    m = len(roots)
    drive = np.zeros((m, 4, 4))
    for k in range(m):
        for side in range(2):
            for source in range(2):
                leak = 1.0 if source == side else alpha
                for q in range(2):
                    for j in range(2):
                        factor = leak * roots[k, source, q, j]
                        for i in range(4):
                            drive[k, 2 * side + q, i] += factor * vectors[k, 2 * source + j, i]
    return drive


@jit()
def bound_motion(
    sigma: Floats, drive: Floats, eigenvalues: Floats, residuals: Floats, step_size: Floats,
    barrier: Barrier,
) -> tuple[Bools, Floats, Floats]:  # fmt: skip
    """Whether the path sums are bounded (m), and what they then allow neurons to do.

    sigma (m, 2, 3, 3), drive L (m, 4, 4), eigenvalues (m, 4), residuals c (m, 4), step_size (m) ->
    holds (m), by direction (m, 2, 2, 4): lowest X, highest X, second order from the direction
    itself and from the one orthogonal to it; by side (m, 2, 2): odd and even remainder.
    """
    m = len(sigma)
    holds = np.zeros(m, dtype=np.bool_)
    directions, remainders = np.zeros((m, 2, 2, 4)), np.zeros((m, 2, 2))
    dynamics, reach, spans = _new_dynamics(), _new_reach(), _new_spans()
    if not (barrier.left > 0.0 and barrier.right > 0.0):
        return holds, directions, remainders  # without points on a side two modes do not contract
    for k in range(m):
        if not _set_modes(dynamics, eigenvalues[k], residuals[k], step_size[k]):
            continue
        _set_drive(dynamics, sigma[k], drive[k])
        if not _bound_path_sums(dynamics, reach):
            continue
        holds[k] = True
        _set_spans(spans, eigenvalues[k], residuals[k], step_size[k])
        for side in range(2):
            _set_directions(directions[k, side], dynamics, reach, spans, drive[k], barrier, side)
            remainders[k, side, 0], remainders[k, side, 1] = reach.odd[side], reach.even[side]
    return holds, directions, remainders


@jit()
def _new_dynamics() -> Dynamics:
    return Dynamics(
        size=np.empty(4), tau=np.empty(4), gap=np.empty(4), drive=np.empty((4, 4)),
        norm=np.empty((2, 4)), sigma=np.empty((2, 3, 3)), bend=np.empty((4, 4, 4)),
        rounding=np.empty(1),
    )  # fmt: skip


@jit()
def _new_reach() -> Reach:
    return Reach(
        sums=np.empty(4), rest=np.empty(4), path=np.empty(4), step=np.empty(4), odd=np.empty(2),
        even=np.empty(2), higher=np.empty(4), growth=np.empty((3, 3)), grown=np.empty((3, 3)),
        change=np.empty((3, 3)),
    )  # fmt: skip


@jit()
def _new_spans() -> Spans:
    return Spans(np.empty((4, SPANS)), np.empty((4, SPANS)), np.empty(SPANS), np.empty(SPANS))


@jit()
def _set_modes(
    dynamics: Dynamics, eigenvalues: Floats, residuals: Floats, step_size: float
) -> bool:
    """Size, tau and gap of the modes; whether all of them contract."""
    largest = 0.0
    for i in range(4):
        gap = 1.0 - abs(1.0 - step_size * eigenvalues[i])
        if not gap > 0.0:
            return False
        dynamics.gap[i], dynamics.tau[i] = gap, step_size / gap
        dynamics.size[i] = abs(residuals[i])
        largest = max(largest, eigenvalues[i])
    dynamics.rounding[0] = ROUNDING_OF_MATRIX * largest
    return True


@jit()
def _set_drive(dynamics: Dynamics, sigma: Floats, drive: Floats) -> None:
    """|L|, the norms of its columns, |Sigma| and |g|.

    g_ijl is how much the partial sum x_l changes the entry (i, j) of the training matrix, to the
    first order: the sum over both sides of 2 (L^T L)_ij v_l + (L^T L)_il v_j + (L^T L)_jl v_i, with
    v = L^T Sigma_wab.
    """
    bend = dynamics.bend
    bend[:] = 0.0
    dynamics.drive[:] = np.abs(drive)
    dynamics.sigma[:] = np.abs(sigma)
    for side in range(2):
        r, s = drive[2 * side], drive[2 * side + 1]
        wa, wb = sigma[side, 2, 0], sigma[side, 2, 1]
        for i in range(4):
            dynamics.norm[side, i] = sqrt(r[i] * r[i] + s[i] * s[i])
            v_i = wa * r[i] + wb * s[i]
            for j in range(4):
                v_j = wa * r[j] + wb * s[j]
                twice = 2.0 * (r[i] * r[j] + s[i] * s[j])
                for n in range(4):
                    by_j = (r[n] * r[i] + s[n] * s[i]) * v_j
                    by_i = (r[n] * r[j] + s[n] * s[j]) * v_i
                    bend[i, j, n] += twice * (wa * r[n] + wb * s[n]) + by_j + by_i
    bend[:] = np.abs(bend)


@jit()
def _bound_path_sums(dynamics: Dynamics, reach: Reach) -> bool:
    """Look for path sums with F(s) <= s; whether ``reach`` now holds such."""
    rest, sums, needed = reach.rest, reach.sums, np.empty(4)
    rest[:] = 0.0
    for _ in range(ITERATIONS):
        for i in range(4):
            sums[i] = dynamics.tau[i] * dynamics.size[i] + rest[i]
        if not _set_reach(dynamics, reach):
            return False
        _set_higher_orders(dynamics, reach)
        fits = True
        for i in range(4):
            needed[i] = dynamics.tau[i] * _excitation(dynamics, reach, i)
            fits = fits and needed[i] <= rest[i]
        if fits:
            return True
        for i in range(4):
            rest[i] = SLACK * needed[i]
    return False


@jit()
def _set_reach(dynamics: Dynamics, reach: Reach) -> bool:
    """K, H and the remainders that the path sums allow; false where those have no bound."""
    for q in range(4):
        reach.path[q], reach.step[q] = 0.0, 0.0
        for i in range(4):
            part = dynamics.drive[q, i] * reach.sums[i]
            reach.path[q] += part
            reach.step[q] += dynamics.gap[i] * part
    for side in range(2):
        rho = 0.0
        for i in range(4):
            rho += dynamics.norm[side, i] * reach.sums[i]
        if not rho < LARGEST_RHO:
            return False
        square = rho * rho
        reach.odd[side] = square * rho / 6.0 / (1.0 - square / 20.0)
        reach.even[side] = square * square / 24.0 / (1.0 - square / 30.0)
    return True


@jit()
def _excitation(dynamics: Dynamics, reach: Reach, i: int) -> float:
    """Bound sum_k h |(N_k c_k)_i|."""
    bend, sums = dynamics.bend, reach.sums
    total = 0.0
    for q in range(4):
        total += dynamics.drive[q, i] * reach.higher[q]
    for j in range(4):
        first_order = 0.5 * bend[i, j, j] * sums[j]
        for n in range(j):
            first_order += max(bend[i, j, n], bend[i, n, j]) * sums[n]
        total += (first_order + dynamics.rounding[0]) * sums[j]
    return total


@jit()
def _set_higher_orders(dynamics: Dynamics, reach: Reach) -> None:
    """sum_k h |(dG_k u'_k)_q| without the first order of dG, for both q of both sides."""
    for side in range(2):
        _set_sigma_change(dynamics, reach, side)
        sigma, d = dynamics.sigma[side], reach.change
        aa, bb, ww, ab, wa, wb = (
            sigma[0, 0], sigma[1, 1], sigma[2, 2], sigma[0, 1], sigma[2, 0], sigma[2, 1],
        )  # fmt: skip
        r, s = reach.path[2 * side], reach.path[2 * side + 1]
        # Of D_ab,ab + D_ww I: all of it, less the first, less the second order
        d_ww = d[2, 2] - 2.0 * (r * wa + s * wb)
        g_rr = d[0, 0] + d_ww - 2.0 * r * wa
        g_ss = d[1, 1] + d_ww - 2.0 * s * wb
        g_rs = d[0, 1] - r * wb - s * wa
        g_rr -= 2.0 * (aa + ww) * r * r + 4.0 * ab * r * s + (bb + ww) * s * s
        g_ss -= 2.0 * (bb + ww) * s * s + 4.0 * ab * r * s + (aa + ww) * r * r
        g_rs -= 0.5 * ab * (r * r + s * s) + (aa + bb + ww) * r * s
        # Second order: a potential whose gradient bounds it
        half = 0.5 * (aa + bb + ww)
        second_r = 2.0 / 3.0 * (aa + ww) * r * r * r + 2.0 * ab * r * r * s
        second_r += max(bb + ww, half) * r * s * s + ab / 6.0 * s * s * s
        second_s = 2.0 / 3.0 * (bb + ww) * s * s * s + 2.0 * ab * s * s * r
        second_s += max(aa + ww, half) * s * r * r + ab / 6.0 * r * r * r
        # w moves at once with a and b
        at_once = (wa + d[2, 0]) * r + (wb + d[2, 1]) * s
        reach.higher[2 * side] = second_r + g_rr * r + g_rs * s + reach.step[2 * side] * at_once
        reach.higher[2 * side + 1] = (
            second_s + g_rs * r + g_ss * s + reach.step[2 * side + 1] * at_once
        )


@jit()
def _set_sigma_change(dynamics: Dynamics, reach: Reach, side: int) -> None:
    """D = E |Sigma| E^T - |Sigma| of a side."""
    growth, grown, sigma, d = reach.growth, reach.grown, dynamics.sigma[side], reach.change
    r, s = reach.path[2 * side], reach.path[2 * side + 1]
    odd, even = reach.odd[side], reach.even[side]
    growth[0, 0], growth[1, 1] = 0.5 * r * r + even, 0.5 * s * s + even
    growth[0, 1] = growth[1, 0] = r * s + even
    growth[2, 2] = 0.5 * (r * r + s * s) + even
    growth[0, 2] = growth[2, 0] = r + odd
    growth[1, 2] = growth[2, 1] = s + odd
    for i in range(3):
        for j in range(3):
            grown[i, j] = 0.0
            for n in range(3):
                grown[i, j] += growth[i, n] * sigma[n, j]
    for i in range(3):
        for j in range(3):
            d[i, j] = grown[i, j] + grown[j, i]
            for n in range(3):
                d[i, j] += grown[i, n] * growth[j, n]


@jit()
def _set_spans(spans: Spans, eigenvalues: Floats, residuals: Floats, step_size: float) -> None:
    """The partial sums c_l tau_l (1 - mu^t), monotone in t where mu >= 0.

    Where mu < 0 all of them, from the first step on, lie between h (1 + mu) c_l and h c_l.
    """
    for i in range(4):
        mu = 1.0 - step_size * eigenvalues[i]
        begin, end = spans.begin[i], spans.end[i]
        if mu < 0.0:
            begin[:] = step_size * (1.0 + mu) * residuals[i]
            end[:] = step_size * residuals[i]
            continue
        # Powers at t = 1, 2, 3, 4, 6, 8, ..: each is the square of the last but one.
        begin[0], begin[1], begin[2] = mu, mu * mu, mu * mu * mu
        for t in range(3, SPANS):
            begin[t] = begin[t - 2] * begin[t - 2]
        limit = residuals[i] / eigenvalues[i]
        for t in range(SPANS):
            begin[t] = limit * (1.0 - begin[t])
        for t in range(SPANS - 1):
            end[t] = begin[t + 1]
        end[SPANS - 1] = limit


@jit(inline="always")
def _nearness(barrier: Barrier, side: int, q: int) -> float:
    """One over the distance of the points that z_q of a side keeps the kink away from."""
    return barrier.right if side == q else barrier.left


@jit()
def _set_directions(
    directions: Floats, dynamics: Dynamics, reach: Reach, spans: Spans, drive: Floats,
    barrier: Barrier, side: int,
) -> None:  # fmt: skip
    """Bounds on X and on the second order for z_0 and z_1 of a side, into (2, 4)."""
    own, across = np.empty((2, 4)), np.empty((2, 4))  # by q: low, high, path sum, step
    for q in range(2):
        _set_range(own[q], _nearness(barrier, side, q), dynamics, reach, spans, drive, side, q)
    for q in range(2):
        near, other = _nearness(barrier, side, q), _nearness(barrier, side, 1 - q)
        if near * other == 1.0:  # then z_0 and z_1 are orthogonal
            across[q] = own[1 - q]
        else:
            _set_range(across[q], 1.0 / near, dynamics, reach, spans, drive, side, 1 - q)
        low, high, path, step = own[q]
        directions[q, 0], directions[q, 1] = low, high
        # The sum of h^2 u_k u_l over l < k is half of X^2 less the squares: never far below zero
        directions[q, 2] = 0.5 * step * path
        size_across = max(-across[q, 0], across[q, 1])
        directions[q, 3] = min(path * size_across, (high - low) * across[q, 2])


@jit()
def _set_range(
    found: Floats, near: float, dynamics: Dynamics, reach: Reach, spans: Spans, drive: Floats,
    side: int, q: int,
) -> None:  # fmt: skip
    """Lowest and highest X, path sum and largest step of z_q for a nearness, into (4)."""
    norm, row = sqrt(1.0 / (1.0 + near * near)), np.empty(4)
    path, step, rest = 0.0, 0.0, 0.0
    for i in range(4):
        r, s = drive[2 * side, i], drive[2 * side + 1, i]
        r, s = (-r if side == 1 else r), (-s if q == 1 else s)
        row[i] = (r + near * s) * norm
        path += abs(row[i]) * reach.sums[i]
        step += abs(row[i]) * reach.sums[i] * dynamics.gap[i]
        rest += abs(row[i]) * reach.rest[i]
    rest += ROUNDING_OF_SUMS * path
    low, high = _extremes(spans, row)
    found[0], found[1], found[2], found[3] = low - rest, high + rest, path, step


@jit()
def _extremes(spans: Spans, coefficients: Floats) -> tuple[float, float]:
    """Lowest and highest sum_l coefficients_l x_l of the linear dynamics, from the start on."""
    spans.low[:] = 0.0
    spans.high[:] = 0.0
    for i in range(4):
        factor = coefficients[i]
        for t in range(SPANS):
            begin, end = factor * spans.begin[i, t], factor * spans.end[i, t]
            spans.low[t] += begin if begin < end else end
            spans.high[t] += end if begin < end else begin
    low, high = 0.0, 0.0
    for t in range(SPANS):
        low, high = min(low, spans.low[t]), max(high, spans.high[t])
    return low, high


@jit()
def neurons_stay(
    a: Floats, b: Floats, w: Floats, directions: Floats, remainders: Floats, barrier: Barrier
) -> Bools:
    """Whether z_0 and z_1 of every neuron stay positive: a, b, w (m, n) -> (m).

    directions (m, 2, 2, 4) and remainders (m, 2, 2) as :func:`bound_motion` gives them.
    """
    m, n = a.shape
    stay = np.ones(m, dtype=np.bool_)
    for k in range(m):
        for i in range(n):
            side = 1 if a[k, i] < 0.0 else 0
            for q in range(2):
                near = _nearness(barrier, side, q)
                norm = sqrt(1.0 / (1.0 + near * near))
                size_a, toward = abs(a[k, i]), (-b[k, i] if q == 1 else b[k, i])
                z, across = (size_a + near * toward) * norm, (near * size_a - toward) * norm
                odd, even = remainders[k, side]
                rest = odd * abs(w[k, i]) + even * sqrt(z * z + across * across) + MARGIN * size_a
                least = _least(z, abs(across), w[k, i], directions[k, side, q])
                stay[k] = stay[k] and z > 0.0 and least > rest
            if not stay[k]:
                break
    return stay


@jit()
def _least(z: float, other: float, w: float, direction: Floats) -> float:
    """The smallest value of a positive z, up to the second order; ``other`` is not negative."""
    low, high, by_itself, by_other = direction
    first_order = w * low if w > 0.0 else w * high
    return z + first_order - by_itself * z - by_other * other

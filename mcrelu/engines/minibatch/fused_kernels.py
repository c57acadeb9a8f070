"""Networks with any number of inputs, one at a time, so that what a step touches stays in cache.

Four points at a time: forward, the pre-activations of all neurons are computed and kept; once the
four outputs are known, each neuron's share of the gradient is the sum of residual (x, 1) over the
points where it is active. These sums also give the gradient by w, since w max(0, a x + b) is linear
in (a, b): no second pass over activations.

The innermost loops run over neurons, with four points by four inputs in registers; inputs are
filled up with zeros to a multiple of four.

Glossary
--------
slopes : (d + 1, n) sums of residual x_k, and of the residual, where a neuron is active
"""

from __future__ import annotations

import numpy as np

from mcrelu.engines.minibatch.aligned import aligned, aligned_copy, aligned_rows
from mcrelu.engines.minibatch.descent_kernels import descend
from mcrelu.jit import jit, wide_vectors
from mcrelu.shuffles import shuffle
from mcrelu.types import Array, Ints

AT_ONCE = 4  # points, and inputs


@jit()
def train(
    x: Array, y: Array, batch: int,
    k0: np.uint64, k1: np.uint64, network: np.uint64, first_epoch: int, epochs: int,
    rule: int, rates: Array, epsilons: Array,
    theta: Array, memory: Array, width: int,
) -> None:  # fmt: skip
    """Train one network by some epochs; theta ((d + 2) n + 1) and memory are changed.

    x (N, d), y (N). Training ends where the sum of the residuals is NaN or infinite.
    """
    points, inputs = x.shape
    own, gradient = aligned_copy(theta), aligned(len(theta), theta)
    kept = aligned_rows(memory)
    a, b, w = _parts(own, inputs, width)
    room = (batch + AT_ONCE - 1) // AT_ONCE * AT_ONCE
    taken_x, taken_y = aligned(room * inputs, x).reshape(room, inputs), aligned(room, x)
    share, order = aligned(room, x), np.arange(points)
    share[:batch] = 2.0 / batch
    z, f = aligned(AT_ONCE * width, x).reshape(AT_ONCE, width), aligned(AT_ONCE, x)
    slopes = aligned((inputs + 1) * width, x).reshape(inputs + 1, width)
    batches = points // batch
    steps = first_epoch * batches
    for epoch in range(first_epoch, first_epoch + epochs):
        if batches > 1:
            shuffle(k0, k1, network, np.uint64(epoch), order)
        for k in range(batches):
            if batches > 1 or epoch == first_epoch:
                _take(x, y, order[k * batch : (k + 1) * batch], taken_x, taken_y)
            slopes[:] = 0.0
            total = 0.0
            for p in range(0, room, AT_ONCE):
                _add_points(taken_x, taken_y, p, share, a, b, w, own[-1], z, f, slopes)
                total += (f[0] + f[1]) + (f[2] + f[3])
            gradient[-1] = total
            _read_gradients(a, b, w, slopes, gradient)
            descend(rule, own, gradient, kept, rates, epsilons, width, steps)
            steps += 1
            if not np.isfinite(total):
                theta[:], memory[:] = own, kept[:, : len(own)]
                return
    theta[:], memory[:] = own, kept[:, : len(own)]


@jit()
def _take(x: Array, y: Array, chosen: Ints, taken_x: Array, taken_y: Array) -> None:
    """Copy the chosen points, number by number: numba is slow to assign rows."""
    for i in range(len(chosen)):
        point = chosen[i]
        for k in range(x.shape[1]):
            taken_x[i, k] = x[point, k]
        taken_y[i] = y[point]


@jit()
def sum_of_squares(x: Array, y: Array, theta: Array, width: int) -> float:
    """Squared error of one network summed over points; x (N, d), y (N)."""
    points, inputs = x.shape
    own = aligned_copy(theta)
    a, b, w = _parts(own, inputs, width)
    z, f = aligned(AT_ONCE * width, x).reshape(AT_ONCE, width), aligned(AT_ONCE, x)
    last = aligned(AT_ONCE * inputs, x).reshape(AT_ONCE, inputs)
    error = 0.0
    for p in range(0, points, AT_ONCE):
        here = min(AT_ONCE, points - p)
        if here == AT_ONCE:
            forward(x, p, a, b, w, z, f)
        else:
            last[:here] = x[p:]
            forward(last, 0, a, b, w, z, f)
        for k in range(here):
            error += np.float64(f[k] + own[-1] - y[p + k]) ** 2
    return error


@jit()
def _parts(theta: Array, inputs: int, width: int) -> tuple[Array, Array, Array]:
    """Views of a (d, n), b (n) and w (n)."""
    size = inputs * width
    return (
        theta[:size].reshape(inputs, width),
        theta[size : size + width],
        theta[size + width : size + 2 * width],
    )


@jit()
def _read_gradients(a: Array, b: Array, w: Array, slopes: Array, gradient: Array) -> None:
    """The gradient by a, b and w from the slopes."""
    inputs, width = a.shape
    by_w = gradient[(inputs + 1) * width : (inputs + 2) * width]
    _multiply(w, slopes[inputs], gradient[inputs * width : (inputs + 1) * width])
    by_w[:] = 0.0
    _add_products(b, slopes[inputs], by_w)
    for k in range(inputs):
        _multiply(w, slopes[k], gradient[k * width : (k + 1) * width])
        _add_products(a[k], slopes[k], by_w)


@jit()
def _multiply(u: Array, v: Array, product: Array) -> None:
    wide_vectors()
    for j in range(len(u)):
        product[j] = u[j] * v[j]


@jit()
def _add_products(u: Array, v: Array, total: Array) -> None:
    wide_vectors()
    for j in range(len(u)):
        total[j] += u[j] * v[j]


@jit(reorder=True)
def _add_points(
    x: Array, y: Array, p: int, share: Array, a: Array, b: Array, w: Array, c: float,
    z: Array, f: Array, slopes: Array,
) -> None:  # fmt: skip
    """Add the points p .. p + 3 to the slopes; their residuals share (f - y) are left in f (4)."""
    forward(x, p, a, b, w, z, f)
    for k in range(AT_ONCE):
        f[k] = share[p + k] * (f[k] + c - y[p + k])
    _add_first_slopes(x, p, f, z, slopes)
    for k in range(AT_ONCE, len(a), AT_ONCE):
        _add_slopes(x, p, k, z, slopes)


@jit(reorder=True)
def forward(x: Array, p: int, a: Array, b: Array, w: Array, z: Array, f: Array) -> None:
    """Outputs f (4) of the points p .. p + 3, without c, and their pre-activations z (4, n)."""
    last = len(a) - AT_ONCE
    if last == 0:
        _outputs_of_four_inputs(x, p, a, b, w, z, f)
    else:
        _first_inputs(x, p, a, b, z)
        for k in range(AT_ONCE, last, AT_ONCE):
            _add_inputs(x, p, k, a, z)
        _outputs(x, p, last, a, w, z, f)


# In the following, x_pk is input k of point p, f_p its output, u_p and z_p its pre-activations.


@jit(reorder=True)
def _first_inputs(x: Array, p: int, a: Array, b: Array, z: Array) -> None:
    """Z = b + x a over the first four inputs."""
    wide_vectors()
    x00, x01, x02, x03, x10, x11, x12, x13, x20, x21, x22, x23, x30, x31, x32, x33 = _tile(x, p, 0)
    a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    for j in range(len(z0)):
        u0 = b[j] + x00 * a0[j] + x01 * a1[j] + x02 * a2[j] + x03 * a3[j]
        u1 = b[j] + x10 * a0[j] + x11 * a1[j] + x12 * a2[j] + x13 * a3[j]
        u2 = b[j] + x20 * a0[j] + x21 * a1[j] + x22 * a2[j] + x23 * a3[j]
        u3 = b[j] + x30 * a0[j] + x31 * a1[j] + x32 * a2[j] + x33 * a3[j]
        z0[j], z1[j], z2[j], z3[j] = u0, u1, u2, u3


@jit(reorder=True)
def _add_inputs(x: Array, p: int, k: int, a: Array, z: Array) -> None:
    """Z += x a over the four inputs from k on."""
    wide_vectors()
    x00, x01, x02, x03, x10, x11, x12, x13, x20, x21, x22, x23, x30, x31, x32, x33 = _tile(x, p, k)
    a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    for j in range(len(a0)):
        u0 = z0[j] + x00 * a0[j] + x01 * a1[j] + x02 * a2[j] + x03 * a3[j]
        u1 = z1[j] + x10 * a0[j] + x11 * a1[j] + x12 * a2[j] + x13 * a3[j]
        u2 = z2[j] + x20 * a0[j] + x21 * a1[j] + x22 * a2[j] + x23 * a3[j]
        u3 = z3[j] + x30 * a0[j] + x31 * a1[j] + x32 * a2[j] + x33 * a3[j]
        z0[j], z1[j], z2[j], z3[j] = u0, u1, u2, u3


@jit(reorder=True)
def _outputs(x: Array, p: int, k: int, a: Array, w: Array, z: Array, f: Array) -> None:
    """The same with the last four inputs, and the sums of w max(0, z)."""
    wide_vectors()
    x00, x01, x02, x03, x10, x11, x12, x13, x20, x21, x22, x23, x30, x31, x32, x33 = _tile(x, p, k)
    a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    zero = a.dtype.type(0.0)
    f0 = f1 = f2 = f3 = zero
    for j in range(len(a0)):
        u0 = z0[j] + x00 * a0[j] + x01 * a1[j] + x02 * a2[j] + x03 * a3[j]
        u1 = z1[j] + x10 * a0[j] + x11 * a1[j] + x12 * a2[j] + x13 * a3[j]
        u2 = z2[j] + x20 * a0[j] + x21 * a1[j] + x22 * a2[j] + x23 * a3[j]
        u3 = z3[j] + x30 * a0[j] + x31 * a1[j] + x32 * a2[j] + x33 * a3[j]
        f0 += w[j] * (u0 if u0 > zero else zero)
        f1 += w[j] * (u1 if u1 > zero else zero)
        f2 += w[j] * (u2 if u2 > zero else zero)
        f3 += w[j] * (u3 if u3 > zero else zero)
        z0[j], z1[j], z2[j], z3[j] = u0, u1, u2, u3
    f[0], f[1], f[2], f[3] = f0, f1, f2, f3


@jit(reorder=True)
def _outputs_of_four_inputs(
    x: Array, p: int, a: Array, b: Array, w: Array, z: Array, f: Array
) -> None:
    """The same with no inputs but four: LLVM must know that b is not part of z."""
    wide_vectors()
    x00, x01, x02, x03, x10, x11, x12, x13, x20, x21, x22, x23, x30, x31, x32, x33 = _tile(x, p, 0)
    a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    zero = a.dtype.type(0.0)
    f0 = f1 = f2 = f3 = zero
    for j in range(len(a0)):
        u0 = b[j] + x00 * a0[j] + x01 * a1[j] + x02 * a2[j] + x03 * a3[j]
        u1 = b[j] + x10 * a0[j] + x11 * a1[j] + x12 * a2[j] + x13 * a3[j]
        u2 = b[j] + x20 * a0[j] + x21 * a1[j] + x22 * a2[j] + x23 * a3[j]
        u3 = b[j] + x30 * a0[j] + x31 * a1[j] + x32 * a2[j] + x33 * a3[j]
        f0 += w[j] * (u0 if u0 > zero else zero)
        f1 += w[j] * (u1 if u1 > zero else zero)
        f2 += w[j] * (u2 if u2 > zero else zero)
        f3 += w[j] * (u3 if u3 > zero else zero)
        z0[j], z1[j], z2[j], z3[j] = u0, u1, u2, u3
    f[0], f[1], f[2], f[3] = f0, f1, f2, f3


@jit(reorder=True)
def _add_first_slopes(x: Array, p: int, residual: Array, z: Array, slopes: Array) -> None:
    """Residuals r_p where z > 0 are left in z, and added to the slopes of four inputs and of 1."""
    wide_vectors()
    x00, x01, x02, x03, x10, x11, x12, x13, x20, x21, x22, x23, x30, x31, x32, x33 = _tile(x, p, 0)
    s0, s1, s2, s3 = slopes[0], slopes[1], slopes[2], slopes[3]
    plain = slopes[len(slopes) - 1]
    r0, r1, r2, r3 = residual[0], residual[1], residual[2], residual[3]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    zero = z.dtype.type(0.0)
    for j in range(len(plain)):
        m0 = r0 if z0[j] > zero else zero
        m1 = r1 if z1[j] > zero else zero
        m2 = r2 if z2[j] > zero else zero
        m3 = r3 if z3[j] > zero else zero
        t0 = s0[j] + m0 * x00 + m1 * x10 + m2 * x20 + m3 * x30
        t1 = s1[j] + m0 * x01 + m1 * x11 + m2 * x21 + m3 * x31
        t2 = s2[j] + m0 * x02 + m1 * x12 + m2 * x22 + m3 * x32
        t3 = s3[j] + m0 * x03 + m1 * x13 + m2 * x23 + m3 * x33
        z0[j], z1[j], z2[j], z3[j] = m0, m1, m2, m3
        s0[j], s1[j], s2[j], s3[j] = t0, t1, t2, t3
        plain[j] += (m0 + m1) + (m2 + m3)


@jit(reorder=True)
def _add_slopes(x: Array, p: int, k: int, z: Array, slopes: Array) -> None:
    """The same for four further inputs; z has the residuals."""
    wide_vectors()
    x00, x01, x02, x03, x10, x11, x12, x13, x20, x21, x22, x23, x30, x31, x32, x33 = _tile(x, p, k)
    s0, s1, s2, s3 = slopes[k], slopes[k + 1], slopes[k + 2], slopes[k + 3]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    for j in range(len(s0)):
        t0 = s0[j] + z0[j] * x00 + z1[j] * x10 + z2[j] * x20 + z3[j] * x30
        t1 = s1[j] + z0[j] * x01 + z1[j] * x11 + z2[j] * x21 + z3[j] * x31
        t2 = s2[j] + z0[j] * x02 + z1[j] * x12 + z2[j] * x22 + z3[j] * x32
        t3 = s3[j] + z0[j] * x03 + z1[j] * x13 + z2[j] * x23 + z3[j] * x33
        s0[j], s1[j], s2[j], s3[j] = t0, t1, t2, t3


@jit()
def _tile(x: Array, p: int, k: int) -> tuple[float, ...]:
    """Inputs k .. k + 3 of four points, point by point."""
    return (
        x[p, k], x[p, k + 1], x[p, k + 2], x[p, k + 3],
        x[p + 1, k], x[p + 1, k + 1], x[p + 1, k + 2], x[p + 1, k + 3],
        x[p + 2, k], x[p + 2, k + 1], x[p + 2, k + 2], x[p + 2, k + 3],
        x[p + 3, k], x[p + 3, k + 1], x[p + 3, k + 2], x[p + 3, k + 3],
    )  # fmt: skip

"""The modewise form of the sufficient criterion: every mode and every entry bounded by itself.

A proof, from the present state, that no kink will ever cross, like theory/criterion.py, but one
that holds at the first steps of most networks that never cross. Theorem and proof are in
docs/method.md 2.1, whose letters are used here.

Glossary
--------
mu_i, v_i : 1 - h lambda_i with the eigenpairs of T = M^(1/2) A_ref M^(1/2), T = V diag(lambda) V^T
c : V^T (M^(1/2))^+ u_hat, the residuals mode by mode
L : B M^(1/2) V; u' = L c = (r, s) of side 0, (r, s) of side 1, what drives the neurons
tau_i : h / (1 - |mu_i|), the sum of h |mu_i|^k over all steps k
s : (4,) path sums, bounds on sum_k h |c_i,k| over all future steps k
K, H : path sums and largest single step h |u'_q|
X : sum of h u'_q over the steps so far, with its sign
g_ijl : how much the partial sum of h c_l changes T_ij, to the first order in X
z_0, z_1 : (|a| + near b) / sqrt(1 + near^2) and (|a| - near b) / sqrt(1 + near^2), positive as long
    as the kink is inside; near is one over the distance of the points that it could reach
"""

from __future__ import annotations

from typing import NamedTuple

from mcrelu.problems.one_d import Barrier, Weights
from mcrelu.theory import modewise_kernels as kernels
from mcrelu.theory.matrices import apply_2x2, eigh_4x4, pinv_2x2, sqrt_2x2
from mcrelu.theory.sigma_kernels import a_ref, training_matrix
from mcrelu.types import Bools, Floats


class Motion(NamedTuple):
    """How far the neurons of m networks can still move."""

    holds: Bools  # (m,) whether the rest is proved
    directions: Floats  # (m, 2, 2, 4) per side for z_0 and z_1: X's ends, second-order factors
    remainders: Floats  # (m, 2, 2) per side: the odd and the even orders above the second

    def restrict(self, mask: Bools) -> Motion:
        """That of the networks where mask (m,) is true."""
        return Motion(self.holds[mask], self.directions[mask], self.remainders[mask])


def bound_motion(
    sigma: Floats,
    moments: Floats,
    u_hat: Floats,
    step_size: Floats,
    barrier: Barrier,
    alpha: float = 0.0,
) -> Motion:
    """Bound all future motion from second moments alone.

    sigma (m, 2, 3, 3), moments M (m, 2, 2, 2), u_hat (m, 2, 2), step_size (m,), leaky slope alpha.
    """
    m = len(sigma)
    roots = sqrt_2x2(moments.reshape(2 * m, 2, 2))
    inverse_roots = pinv_2x2(roots).reshape(m, 2, 2, 2)
    roots = roots.reshape(m, 2, 2, 2)
    eigenvalues, vectors = eigh_4x4(training_matrix(a_ref(sigma, alpha), roots))
    residuals = kernels.components(vectors, apply_2x2(inverse_roots, u_hat).reshape(m, 4))
    drive = kernels.drives(roots, vectors, alpha)
    return Motion(*kernels.bound_motion(sigma, drive, eigenvalues, residuals, step_size, barrier))


def neurons_stay(weights: Weights, motion: Motion, barrier: Barrier) -> Bools:
    """Whether no neuron can ever bring its kink to a data point, (m,).

    The bounds on z_0 and z_1 are homogeneous in (a, b, w) and, where a keeps its sign, concave.
    """
    return kernels.neurons_stay(
        weights.a, weights.b, weights.w, motion.directions, motion.remainders, barrier
    )

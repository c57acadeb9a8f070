"""The sufficient criterion: a proof, from the present state, that no kink will ever cross.

Here are the two forms with scalar bounds, which follow the paper's theorem (docs/method.md 2.2);
theory/modewise.py has the sharpest. All come in two stages: :func:`motion_bound` needs only the
second moments, :func:`neurons_stay` checks every neuron and is worth its cost only for networks
that pass the first stage.

Glossary
--------
mu_i : 1 - h lambda_i, with lambda_i, v_i the eigenpairs of M^(1/2) A_ref M^(1/2)
psi_0 : (M^(1/2))^+ u_hat, the residuals in the coordinates in which training is symmetric
S_psi : bound on sum_k h ||psi_k||_inf over all future steps k, were sigma constant
S : bound on sum_k h ||(1 - h M^(1/2) A_ref M^(1/2))^k||_inf
kappa : bound on the total motion of every theta_i, relative to its entries
D : bound on the change of |sigma|
delta : relative change of S_psi that the change of sigma can cause; 1/2 is what kappa allows for
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from mcrelu.problems.one_d import Barrier, Weights
from mcrelu.theory import criterion_kernels as kernels
from mcrelu.types import Bools, Floats


class Form(StrEnum):
    """``modewise`` bounds mode by mode (theory/modewise.py); the others bound S_psi in two ways.

    ``published`` repeats the original program, and is a proof only where h <= 1 / lambda_max.
    """

    MODEWISE = "modewise"
    SHARP = "sharp"
    PUBLISHED = "published"


class MotionBound(NamedTuple):
    """First stage: how far neurons can still move."""

    holds: Bools  # (m,) whether the bounds below are proved
    kappa: Floats  # (m,)


def motion_bound(
    sigma: Floats,
    moments: Floats,
    u_hat: Floats,
    step_size: Floats,
    form: Form,
    alpha: float = 0.0,
) -> MotionBound:
    """Bound the total future motion from second moments alone.

    sigma (m, 2, 3, 3), moments M (m, 2, 2, 2), u_hat (m, 2, 2), step_size (m,) -> both (m,).

    With leaky slope alpha a neuron is driven by B u_hat, B = [[I, alpha I], [alpha I, I]], and
    ||B||_inf = 1 + alpha: once in kappa, and on either side of the changing G in delta.
    """
    published = form is Form.PUBLISHED
    return MotionBound(*kernels.motion_bound(sigma, moments, u_hat, step_size, alpha, published))


def neurons_stay(weights: Weights, kappa: Floats, form: Form, barrier: Barrier) -> Bools:
    """Whether no neuron can ever bring its kink to a data point, (m,).

    True where (|a_i| - E_i[a]) min |x_j| > |b_i| + E_i[b] for all i, with
    E_i = kappa Q |theta_i| + 2 kappa^2 e^(2 kappa) max |theta_i|; ``sharp`` asks for
    a margin of criterion_kernels.MARGIN |a_i|, for rounding.
    """
    margin = 0.0 if form is Form.PUBLISHED else kernels.MARGIN
    nearest = 1.0 / max(barrier)
    return kernels.neurons_stay(weights.a, weights.b, weights.w, kappa, margin, nearest)

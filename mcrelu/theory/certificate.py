"""The sufficient criterion in any of its forms: which networks are proved never to cross."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mcrelu.problems.one_d import Barrier, Weights
from mcrelu.theory import criterion, modewise
from mcrelu.theory.criterion import Form
from mcrelu.types import Bools, Floats


def certified(
    form: Form,
    sigma: Floats,
    moments: Floats,
    u_hat: Floats,
    step_size: Floats,
    barrier: Barrier,
    alpha: float,
    outermost: Callable[[Bools], Weights],
) -> Bools:
    """Which networks can never bring a kink to a data point, (m,).

    Parameters
    ----------
    sigma : (m, 2, 3, 3), moments M : (m, 2, 2, 2), u_hat : (m, 2, 2), step_size : (m,)
        As in theory/sigma.py, at the moment of the check.
    barrier : where the nearest points are
    alpha : leaky slope
    outermost :
        mask (m,) -> neurons that decide for all others of the networks where it is true. Asked
        once, and only for networks whose motion is bounded.
    """
    stay: Callable[[Weights], Bools]
    if form is Form.MODEWISE:
        motion = modewise.bound_motion(sigma, moments, u_hat, step_size, barrier, alpha)
        holds = motion.holds
        stay = partial(modewise.neurons_stay, motion=motion.restrict(holds), barrier=barrier)
    else:
        bound = criterion.motion_bound(sigma, moments, u_hat, step_size, form, alpha)
        holds = bound.holds
        kappa = bound.kappa[holds]
        stay = partial(criterion.neurons_stay, kappa=kappa, form=form, barrier=barrier)
    # Also of no network at all, so that warming up compiles all kernels.
    proved = holds.copy()
    proved[holds] = stay(outermost(holds))
    return proved

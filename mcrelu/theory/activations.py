"""Activation functions and their derivatives, in numpy.

relu(z) = max(z, 0), leaky_relu(z) = max(z, 0.01 z), gelu(z) = z Phi(z) with the normal distribution
function Phi (not its tanh approximation), silu(z) = z / (1 + exp(-z)), and tanh. A neuron is active
where z > 0, whichever it is.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from scipy.special import expit, ndtr

from mcrelu.problems.r_d import LEAK, Activation
from mcrelu.types import Floats


def activate(activation: Activation, z: Floats) -> Floats:
    """The activation of z, entry by entry."""
    match activation:
        case "relu":
            return np.maximum(z, 0.0)
        case "leaky_relu":
            return np.maximum(z, LEAK * z)
        case "tanh":
            return np.tanh(z)
        case "gelu":
            return np.asarray(z * ndtr(z))
        case "silu":
            return np.asarray(z * expit(z))


def slope(activation: Activation, z: Floats) -> Floats:
    """Its derivative at z; at the kinks, that from the left."""
    match activation:
        case "relu":
            return np.where(z > 0.0, 1.0, 0.0)
        case "leaky_relu":
            return np.where(z > 0.0, 1.0, LEAK)
        case "tanh":
            return np.asarray(1.0 - np.tanh(z) ** 2)
        case "gelu":
            return np.asarray(ndtr(z) + z * np.exp(-0.5 * z * z) / sqrt(2.0 * pi))
        case "silu":
            return np.asarray(expit(z) * (1.0 + z * expit(-z)))

"""The same training as a user of JAX would write it: grad, vmap over networks, one jitted loop.

Imported only where JAX is installed. float64, one thread, the running maximum of |b/a| included.
"""

from __future__ import annotations

import os

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from mcrelu.problems.one_d import Problem, Weights

jax.config.update("jax_enable_x64", True)

Net = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # a, b, c, w


def loss(net: Net, p: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """1/2 sum_j p_j (f(x_j) - y_j)^2 of one network."""
    a, b, c, w = net
    outputs = c + jax.nn.relu(x[:, None] * a + b) @ w
    return 0.5 * (p * (outputs - y) ** 2).sum()


def gradient(net: Net, p: jax.Array, x: jax.Array, y: jax.Array) -> Net:
    """The gradient of the loss, by hand."""
    a, b, c, w = net
    z = x[:, None] * a + b
    hidden = jnp.maximum(z, 0.0)
    errors = p * (c + hidden @ w - y)
    through = errors[:, None] * (z >= 0.0)
    return w * (x @ through), w * through.sum(axis=0), errors.sum(), errors @ hidden


GRADIENTS = {"grad": jax.grad(loss), "by hand": gradient}


class JaxRun:
    """A batch in training."""

    def __init__(self, problem: Problem, how: str, steps: int) -> None:
        a, b, c, w = (jnp.asarray(part) for part in problem.weights)
        self._net, self._kink = (a, b, c, w), jnp.zeros(len(problem.p))
        data = (problem.p, problem.step_size, *problem.points)
        self._data = tuple(jnp.asarray(part) for part in data)
        self._train = jax.jit(partial(_train, GRADIENTS[how], steps))

    def advance(self) -> None:
        """Train by the steps of a window."""
        self._net, self._kink = self._train(self._net, self._kink, *self._data)
        self._kink.block_until_ready()

    def weights(self) -> Weights:
        """The parameters as the engines give them."""
        return Weights(*(np.asarray(part) for part in self._net))


def _train(gradient_of, steps, net, kink, p, step_size, x, y):
    def train_one(net, kink, p, step_size):
        def step(_, carry):
            net, kink = carry
            slope = gradient_of(net, p, x, y)
            net = jax.tree.map(lambda part, g: part - step_size * g, net, slope)
            return net, jnp.maximum(kink, jnp.abs(net[1] / net[0]).max())

        return jax.lax.fori_loop(0, steps, step, (net, kink))

    return jax.vmap(train_one)(net, kink, p, step_size)

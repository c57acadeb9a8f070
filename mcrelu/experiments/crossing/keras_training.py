"""The SGD experiment once more, by Keras: a check of the engines that shares nothing with them.

Keras draws the initial weights, Keras trains by its own loop, and Keras's callback stops early; of
ours are the points and the sizes of samples. The step size comes from the gradients that torch
finds. One network at a time, at milliseconds per step.

On torch Keras computes in single precision, whatever it is told; rounding is far below the noise
of minibatches. Its mean squared error lacks the factor 1/2 of ours, so its learning rate is half
the step size (docs/method.md 8).

Glossary
--------
n : width
D : number of distinct points
N : size of the training and of the validation sample
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mcrelu.engines.torch_device import one_thread
from mcrelu.errors import ResourceError
from mcrelu.experiments.crossing.stopping import EarlyStopping
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.types import Floats, PointSet

if TYPE_CHECKING:
    from mcrelu.experiments.crossing.cell import CrossingCell

KERAS = "keras"
SEMANTICS = 1  # raised whenever the rows change
MEMORY = 2**30  # bytes: torch and Keras, beside which a network is nothing
NETWORKS_PER_BLOCK = 10  # a minute or so
RATE_OF_STEP = 0.5  # learning rate of Keras's loss per step size of ours


class Sample(NamedTuple):
    """A sample of the points: (N, 1) each."""

    x: Floats
    y: Floats


def train_by_keras(
    cell: CrossingCell, seeds: list[np.random.SeedSequence]
) -> tuple[Floats, Outcome]:
    """Train a network per seed: their step sizes (m,) and outcomes.

    Raises
    ------
    ResourceError
        If Keras is not there, or was imported with another backend.
    """
    keras = _keras()
    with one_thread():
        networks = [_train(keras, cell, seed) for seed in seeds]
    steps, outcomes = zip(*networks, strict=True)
    return np.array(steps), Outcome(*map(np.concatenate, zip(*outcomes, strict=True)))


def _keras() -> Any:
    """Keras on torch."""
    if not all(map(importlib.util.find_spec, ("keras", "torch"))):
        raise ResourceError(
            "engine keras: Keras is not installed; pip install 'mcrelu[keras]' on every node"
        )
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    if keras.backend.backend() != "torch":
        raise ResourceError(
            f"engine keras: Keras runs on {keras.backend.backend()!r} here; "
            "set KERAS_BACKEND=torch before it is imported"
        )
    return keras


def _train(keras: Any, cell: CrossingCell, seed: np.random.SeedSequence) -> tuple[float, Outcome]:
    """One network, from its draws to its end."""
    weights, sampling = seed.spawn(2)
    generator = np.random.Generator(np.random.PCG64(sampling))
    points = cell.point_set()
    training, validation = (_sample(generator, points, cell) for _ in range(2))
    model = _model(keras, cell, *map(int, weights.generate_state(2)))
    step_size = _step_size(model, training, cell)
    rate = RATE_OF_STEP * step_size
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=rate), loss="mse")
    kinks, early = _callbacks(keras, cell, points.x)
    history = model.fit(
        _minibatches(generator, training, cell.minibatch),
        steps_per_epoch=cell.checks.interval,
        epochs=cell.checks.maximum,
        validation_data=tuple(validation),
        validation_batch_size=len(validation.x),
        callbacks=[kinks, early],
        shuffle=False,
        verbose=0,
    )
    status = StopReason.UNFINISHED
    if kinks.crossed:
        status = StopReason.CROSSED
    elif early.stopped_epoch:
        status = StopReason.EARLY_STOPPED
    return step_size, Outcome(
        status=np.array([status], dtype=np.int8),
        stop_iteration=np.array([cell.checks.interval * len(history.epoch)]),
        first_crossing=np.array([kinks.crossed]),
        max_kink=np.array([kinks.furthest]),
        training_loss=np.array([_squared_error(model, training) / 2.0]),
        validation_loss=np.array([_squared_error(model, validation)]),
    )


def _sample(generator: np.random.Generator, points: PointSet, cell: CrossingCell) -> Sample:
    """N points drawn with replacement, one by one."""
    size = cell.samples.size(cell.width)
    assert size is not None, "early stopping wants samples"
    drawn = generator.integers(len(points.x), size=size)
    return Sample(points.x[drawn, None], points.y[drawn, None])


def _minibatches(
    generator: np.random.Generator, sample: Sample, size: int
) -> Iterator[tuple[Floats, Floats]]:
    """Minibatches without end, each of ``size`` independent draws from the sample."""
    while True:
        drawn = generator.integers(len(sample.x), size=size)
        yield sample.x[drawn], sample.y[drawn]


def _model(keras: Any, cell: CrossingCell, first: int, second: int) -> Any:
    """He's initialisation: a ~ N(0, 2), w ~ N(0, 2/n), times the cell's scales; biases are zero."""
    normal = keras.initializers.RandomNormal
    a = normal(stddev=cell.scales.input * np.sqrt(2.0), seed=first)
    w = normal(stddev=cell.scales.output * np.sqrt(2.0 / cell.width), seed=second)
    dense = keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input((1,)),
            dense(cell.width, activation="relu", kernel_initializer=a),
            dense(1, kernel_initializer=w),
        ]
    )


def _step_size(model: Any, sample: Sample, cell: CrossingCell) -> float:
    """1 / lambda_max of the Hessian's Gauss-Newton part at the start, or what the cell says.

    That is the neural tangent kernel of the sample over N; where kinks are at zero its eigenvalues
    are those of A_ref M (docs/method.md 1).
    """
    if cell.step_rule.over_width is not None:
        return cell.step_rule.over_width / cell.width
    x, counts = np.unique(sample.x, return_counts=True)
    gradients = np.stack([_gradient(model, value) for value in x])
    kernel = gradients @ gradients.T
    root = np.sqrt(counts / counts.sum())
    return float(1.0 / np.linalg.eigvalsh(root[:, None] * kernel * root)[-1])


def _gradient(model: Any, x: float) -> Floats:
    """Of the network's output at x by all parameters, (3n + 1,)."""
    model.zero_grad()
    model(np.array([[x]])).sum().backward()
    parts = [variable.value.grad.ravel() for variable in model.trainable_variables]
    gradient = np.concatenate([part.cpu().numpy() for part in parts])
    model.zero_grad()
    return gradient


def _squared_error(model: Any, sample: Sample) -> float:
    predicted = model.predict(sample.x, batch_size=len(sample.x), verbose=0)
    return float(((predicted - sample.y) ** 2).mean())


def _callbacks(keras: Any, cell: CrossingCell, x: Floats) -> tuple[Any, Any]:
    """What watches the kinks, and Keras's own early stopping."""
    left, right = -x[x < 0].max(initial=-np.inf), x[x > 0].min(initial=np.inf)
    rule = next(rule for rule in cell.criteria if isinstance(rule, EarlyStopping))
    early = keras.callbacks.EarlyStopping(
        monitor="val_loss", mode="min", patience=rule.patience, min_delta=rule.min_delta
    )

    class Kinks(keras.callbacks.Callback):  # type: ignore[misc]
        """Looks after every step; a network whose kink crossed stops at the end of the epoch."""

        furthest = 0.0  # in units of the distance of the nearest point on the kink's side
        crossed = 0  # step
        steps = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps += 1
            a, b = (part.numpy().ravel() for part in self._first_layer())
            kinks = -b / a
            self.furthest = max(self.furthest, (kinks / right).max(), (-kinks / left).max())
            if self.furthest >= 1.0 and not self.crossed:
                self.crossed = self.steps

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if self.crossed:
                self.model.stop_training = True

        def _first_layer(self) -> tuple[Any, Any]:
            layer = self.model.layers[0]
            return layer.kernel.value.detach(), layer.bias.value.detach()

    return Kinks(), early

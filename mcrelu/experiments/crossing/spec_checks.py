"""What the keys of a crossing spec demand of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcrelu.engines.one_d.registry import ENGINES
from mcrelu.experiments.crossing.keras_training import KERAS
from mcrelu.experiments.crossing.spec_parts import OverWidth
from mcrelu.experiments.crossing.stopping import Crossing, EarlyStopping, Sufficient
from mcrelu.philox import MINIBATCH
from mcrelu.rng import LEGACY_NETWORKS, LEGACY_WIDTHS, legacy_block_size
from mcrelu.sweep.spec import refuse_too_many
from mcrelu.theory.criterion import Form

if TYPE_CHECKING:
    from mcrelu.experiments.crossing.spec import CrossingSpec, Shape


def check(spec: CrossingSpec) -> None:
    """Raise ValueError, in one line with the remedy, where keys contradict each other."""
    for shape in spec.shapes():
        _check_criteria(spec, shape)
        _check_engine(spec, shape)
        _check_steps(spec, shape)
    _check_cells(spec)
    if spec.rng == "legacy":
        _check_legacy(spec)


def _check_criteria(spec: CrossingSpec, shape: Shape) -> None:
    kinds = [type(criterion) for criterion in shape.criteria]
    if len(set(kinds)) < len(kinds):
        raise ValueError("stop: a criterion is listed twice; list every criterion once")
    if Crossing not in kinds:
        raise ValueError("stop: 'crossing' is missing; add it, crossings are what is counted")
    if Sufficient(Form.PUBLISHED) in shape.criteria and isinstance(shape.step_size, OverWidth):
        raise ValueError(
            "stop: 'sufficient' in the form 'published' proves nothing for steps above "
            "1/lambda_max, which step_size.over_width may make; use the form modewise"
        )
    if EarlyStopping in kinds and spec.samples == "each":
        raise ValueError(
            "stop: 'early_stopping' with samples = 'each': the validation sample would be the "
            "training sample; use another rule for samples, or 'sufficient'"
        )
    for optimizer in shape.lists.optimizer:
        if Sufficient in kinds and optimizer not in Sufficient.optimizers:
            raise ValueError(
                f"stop: 'sufficient' with {shape.place}.optimizer = {optimizer!r}: the proof holds "
                "for gd only; use early_stopping, or optimizer [gd]"
            )


def _check_engine(spec: CrossingSpec, shape: Shape) -> None:
    if spec.engine == KERAS:
        _check_keras(spec, shape)
        return
    for optimizer in shape.lists.optimizer:
        if spec.engine != "auto" and optimizer not in ENGINES[spec.engine].optimizers:
            raise ValueError(f"engine = {spec.engine!r}: cannot train with {optimizer!r}; use auto")


def _check_keras(spec: CrossingSpec, shape: Shape) -> None:
    """What is checked by Keras is SGD with early stopping (docs/method.md 8)."""
    lists = shape.lists
    if [*map(type, shape.criteria)] != [Crossing, EarlyStopping]:
        raise ValueError("engine = 'keras': stops by [crossing, early_stopping]; use engine auto")
    if spec.checks and spec.checks.early:
        raise ValueError(
            f"checks.early = {spec.checks.early}: engine 'keras' checks after whole epochs; "
            "leave early out"
        )
    possible = {
        f"{shape.place}.optimizer": (lists.optimizer, ["sgd"]),
        f"{shape.place}.init": (lists.init, ["he"]),
        f"{shape.place}.leaky_slope": (lists.leaky_slope, [0.0]),
        "rng": (spec.rng, "philox4x32"),
    }
    for key, (value, only) in possible.items():
        if value != only:
            raise ValueError(f"{key} = {value}: engine 'keras' can do {only} only; use engine auto")


def _check_steps(spec: CrossingSpec, shape: Shape) -> None:
    for init in shape.lists.init:
        checks = spec.checks_of(init, shape.criteria)
        if checks.last >= 2**32:
            raise ValueError(
                f"checks.maximum = {checks.maximum}: with interval {checks.interval} "
                "makes 2^32 steps or more; lower it"
            )
        if checks.early and checks.early[-1] >= checks.interval:
            raise ValueError(
                f"checks.early = {list(checks.early)}: the first check of all criteria is at step "
                f"{checks.interval}; list steps before it"
            )


def _check_cells(spec: CrossingSpec) -> None:
    """Shapes may not have a cell in common."""
    if not isinstance(spec.cells, list):
        return
    refuse_too_many(sum(shape.combinations for shape in spec.cells))
    seen: dict[str, str] = {}
    for shape in spec.shapes():
        for cell in spec.cells_of(shape):
            if cell.id in seen:
                raise ValueError(
                    f"{shape.place}: has {cell.label}, which {seen[cell.id]} has, too; "
                    "list every cell once"
                )
            seen[cell.id] = shape.place


def _check_legacy(spec: CrossingSpec) -> None:
    """The original's streams exist for what the original did, and nothing else."""
    if spec.checks and spec.checks.early:
        raise ValueError(
            f"checks.early = {spec.checks.early}: rng 'legacy' has the original's checks; "
            "leave early out"
        )
    if spec.block_size is not None:
        raise ValueError(
            f"block_size = {spec.block_size}: rng 'legacy' has the original's batches; "
            "leave block_size out"
        )
    if spec.data != "standard" or spec.samples != "squared" or spec.minibatch != MINIBATCH:
        raise ValueError(
            "rng = 'legacy': draws samples of n^2 of the six points and minibatches of "
            f"{MINIBATCH}; leave data, samples and minibatch out, or use rng philox4x32"
        )
    for shape in spec.shapes():
        for width in shape.lists.width:
            _check_legacy_width(spec.networks, width, shape.place)


def _check_legacy_width(networks: int, width: int, place: str) -> None:
    if width not in LEGACY_WIDTHS:
        raise ValueError(
            f"{place}.width = {width}: the original's streams exist for "
            f"{', '.join(map(str, LEGACY_WIDTHS))}; use one of them, or rng philox"
        )
    size = legacy_block_size(width)
    whole = networks % size == 0 and networks <= LEGACY_NETWORKS
    if not whole and networks != LEGACY_NETWORKS:
        raise ValueError(
            f"networks = {networks}: rng 'legacy' draws whole batches of {size} at "
            f"width {width}; use a multiple of {size} up to, or exactly, {LEGACY_NETWORKS}"
        )

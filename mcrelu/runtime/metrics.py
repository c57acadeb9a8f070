"""What a run on Ray tells Ray's metrics, for Prometheus to scrape and Grafana to show.

Workers count what they do, the driver what it alone knows: blocks that it has tried again, and
those that failed. The only tag is the experiment, so there are few series however large a sweep is.
Nothing that goes wrong here touches a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from ray.util import metrics

from mcrelu.counting import Counted
from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.submit import Event
from mcrelu.runtime.task import BlockDone, BlockResult

EXPERIMENT = "experiment"  # the tag

# Prometheus has them as ray_<name>_total.
COUNTERS = {
    "mcrelu_networks": "Networks whose rows are in a shard",
    "mcrelu_blocks_done": "Blocks whose shard is written",
    "mcrelu_blocks_failed": "Blocks that were given up: they raised, or were tried too often",
    "mcrelu_blocks_retried": "Attempts at blocks made again: worker or store lost, or overdue",
    "mcrelu_shard_bytes": "Bytes of the shards that were written",
    f"mcrelu_{Counted.STEPS}": "Steps of an optimiser, each network by itself",
    f"mcrelu_{Counted.LOOSE_NEURONS}": "Times that a neuron left its group, or had none",
    f"mcrelu_{Counted.REGROUPINGS}": "Times that the neurons of a network were grouped",
}

WRITE_SECONDS = "mcrelu_shard_write_seconds"
WRITE_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]


def done(results: Iterable[BlockResult]) -> None:
    """Count blocks that this worker has done, once for all of a task."""
    with suppress(Exception):
        sums: Counter[tuple[str, str]] = Counter()  # by counter and experiment
        for result in results:
            if isinstance(result, BlockDone):
                experiment = result.block.cell.experiment
                sums["mcrelu_networks", experiment] += result.block.networks
                sums["mcrelu_blocks_done", experiment] += 1
                sums["mcrelu_shard_bytes", experiment] += result.shard.bytes
                for what, number in result.counts.items():
                    sums[f"mcrelu_{what}", experiment] += number
                _write_seconds().observe(result.write_seconds, {EXPERIMENT: experiment})
        for (name, experiment), number in sums.items():
            _count(name, experiment, number)


def heard(event: Event, task: BlockTask) -> None:
    """Count what became of a block that was not done."""
    with suppress(Exception):
        _count(f"mcrelu_blocks_{event}", task.block.cell.experiment, 1)


def _count(name: str, experiment: str, number: int) -> None:
    if number > 0:  # Ray refuses to add nothing
        _counter(name).inc(number, {EXPERIMENT: experiment})


@cache
def _counter(name: str) -> metrics.Counter:
    return metrics.Counter(name, COUNTERS[name], (EXPERIMENT,))


@cache
def _write_seconds() -> metrics.Histogram:
    text = "Seconds that it takes to write a shard to the store"
    return metrics.Histogram(WRITE_SECONDS, text, WRITE_BUCKETS, (EXPERIMENT,))

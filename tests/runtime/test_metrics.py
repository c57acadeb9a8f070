"""What runs tell Ray's metrics, as a Prometheus sees it that scrapes a cluster."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import cluster_of
from processes import wait_until
from scripted import ScriptedExecutor, done
from small_sweeps import output, rows_of, shard_files, sweep
from star_sweeps import star_sweep

from mcrelu.counting import Counted, count, counting
from mcrelu.errors import ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.runtime import submit
from mcrelu.runtime.block import attempt
from mcrelu.runtime.submit import MAX_ATTEMPTS, run_blocks
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.runtime.task import BlockDone
from mcrelu.store.output import Output
from mcrelu.store.shards import shard_name
from mcrelu.sweep.sweep import Sweep

pytest.importorskip("ray")

from mcrelu.runtime import metrics

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
DASHBOARD = json.loads((DASHBOARDS / "grafana.json").read_text())
PANELS = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"\bray_mcrelu_\w+")


def tasks(wanted: Sweep, out: Path | str = "nowhere") -> list[BlockTask]:
    return [
        BlockTask(block, wanted.provenance(block.cell), str(out)) for block in wanted.all_blocks()
    ]


# --- counting -------------------------------------------------------------------------------


def test_nobody_counts_unless_asked() -> None:
    count(Counted.STEPS, 1)
    with counting() as counts:
        count(Counted.STEPS, 2)
        with counting() as within:
            count(Counted.STEPS, 3)
        count(Counted.LOOSE_NEURONS, 4)
    assert (counts, within) == (
        {Counted.STEPS: 2, Counted.LOOSE_NEURONS: 4},
        {Counted.STEPS: 3},
    )


@pytest.mark.parametrize("width", [4, 64])
def test_a_block_counts_its_steps(width: int, tmp_path: Path) -> None:
    wanted = sweep(cells={"width": [width]})
    found = output(tmp_path, wanted)
    results = [attempt(task) for task in tasks(wanted, tmp_path)]
    (rows,) = rows_of(found).values()
    assert all(isinstance(result, BlockDone) for result in results)
    steps = sum(r.counts[Counted.STEPS] for r in results if isinstance(r, BlockDone))
    assert steps == sum(rows["stop_iteration"].to_pylist()) > 0


def test_a_neuron_is_counted_when_it_becomes_loose(tmp_path: Path) -> None:
    """Some neurons of a network that crossed did; none of others but those that began so."""
    wanted = sweep(networks=60, block_size=1, stop=["crossing", "sufficient"])
    found = output(tmp_path, wanted)
    loose = []
    for task in tasks(wanted, tmp_path):
        result = attempt(task)
        assert isinstance(result, BlockDone)
        loose.append(result.counts[Counted.LOOSE_NEURONS])
    (rows,) = rows_of(found).values()
    crossed = rows["first_crossing"].is_valid().to_pylist()
    assert 0 < sum(crossed) < 60
    assert all(number > 0 for number, has in zip(loose, crossed, strict=True) if has)
    assert 0 in [number for number, has in zip(loose, crossed, strict=True) if not has]
    assert max(loose) <= 4


# --- what the driver tells ------------------------------------------------------------------


def test_the_loop_tells_of_retries_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "BACKOFF_SECONDS", 0.0)
    executor = ScriptedExecutor({0: 2, 1: MAX_ATTEMPTS}, store_faults={2: 1})
    todo = iter(tasks(sweep(networks=40)))
    list(run_blocks(lambda: next(todo, None), executor, lambda: False, lambda: None))
    assert executor.heard == {
        ("retried", 0): 2,
        ("retried", 1): MAX_ATTEMPTS - 1,
        ("failed", 1): 1,
        ("retried", 2): 1,
    }


def test_metrics_that_fail_touch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def broken(*_: object) -> None:
        asked.append(1)
        raise RuntimeError("no metrics today")

    monkeypatch.setattr(metrics, "_counter", broken)
    monkeypatch.setattr(metrics, "_write_seconds", broken)
    (first, *_) = tasks(sweep())
    metrics.done([done(first.block, 0)])
    metrics.heard("failed", first)
    assert len(asked) == 2


# --- the dashboard --------------------------------------------------------------------------


def test_the_dashboard_says_what_it_shows() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}


def test_the_dashboard_shows_all_metrics() -> None:
    shown = {name for expression in EXPRESSIONS for name in NAME.findall(expression)}
    there = {f"ray_{name}_total" for name in metrics.COUNTERS}
    assert shown == there | {f"ray_{metrics.WRITE_SECONDS}_bucket"}


def test_panels_do_not_overlap() -> None:
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken
                taken.add((x, y))


# --- a cluster, scraped ---------------------------------------------------------------------


class Prometheus:
    """The HTTP interface of a Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, path: str, **parameters: object) -> Any:
        """The data of an answer."""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]

    def number(self, expression: str) -> float:
        """The value of an expression, 0 where there is none."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self.number("vector(1)") == 1.0
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster() -> Iterator[tuple[Any, int]]:
    """A node with two CPUs and the port of its metrics."""
    port = free_port()
    quickly = {"metrics_report_interval_ms": 500}
    own = {"num_cpus": 2, "metrics_export_port": port, "_system_config": quickly}
    with cluster_of(**own) as started:
        yield started, port


@pytest.fixture
def prometheus(cluster: tuple[Any, int], tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the node every second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs Debian's prometheus")
    port, folder = free_port(), tmp_path / "prometheus"
    folder.mkdir()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: ray, static_configs: [{{targets: ['127.0.0.1:{cluster[1]}']}}]}}\n"
    )
    address = f"127.0.0.1:{port}"
    options = {
        "config.file": config,
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([program, *arguments], stdout=log, stderr=log) as process,
    ):
        try:
            found = Prometheus(address)
            wait_until(found.is_up, "Prometheus")
            yield found
        finally:
            process.terminate()


def run_on(cluster: Any, folder: Path, wanted: Sweep) -> Output:
    from mcrelu.runtime.ray_tasks import RayExecutor

    claimed = output(folder, wanted)
    do_sweep(claimed, lambda: RayExecutor.join(cluster.address))
    return claimed


def settled(prometheus: Prometheus, name: str, wanted: float) -> None:
    """Wait for a sum to be what it is to be, and see that it stays so."""
    expression = f"sum(ray_mcrelu_{name})"
    wait_until(lambda: prometheus.number(expression) >= wanted, f"{expression} >= {wanted}")
    time.sleep(2)
    assert prometheus.number(expression) == wanted, name


@pytest.mark.ray
@pytest.mark.slow
def test_prometheus_counts_what_the_sweeps_did(
    cluster: tuple[Any, int], prometheus: Prometheus, tmp_path: Path
) -> None:
    ray_cluster, _ = cluster
    # A folder where a shard is to be: the block finds no store, four times in all. It comes first,
    # since Ray counts twice what a process tells it that joined for the third time.
    gone = sweep(networks=10)
    (task,) = tasks(gone)
    (tmp_path / "gone" / shard_name(task.block)).mkdir(parents=True)
    with pytest.raises(ResourceError):
        run_on(ray_cluster, tmp_path / "gone", gone)
    settled(prometheus, "blocks_retried_total", MAX_ATTEMPTS - 1)
    settled(prometheus, "blocks_failed_total", 1)
    assert prometheus.number("sum(ray_mcrelu_networks_total)") == 0

    line = sweep(networks=250, cells={"width": [4, 64]})
    star = star_sweep()
    outputs = [
        run_on(ray_cluster, tmp_path / "line", line),
        run_on(ray_cluster, tmp_path / "star", star),
    ]
    rows = [table for one in outputs for table in rows_of(one).values()]
    shards = [path for one in outputs for path in shard_files_of(one, tmp_path)]
    blocks = sum(len(list(one.sweep.all_blocks())) for one in outputs)
    assert (blocks, sum(len(table) for table in rows)) == (56, 510)
    settled(prometheus, "networks_total", 510)
    settled(prometheus, "networks_total{experiment='star'}", 10)
    settled(prometheus, "blocks_done_total", 56)
    settled(prometheus, "shard_write_seconds_count", 56)
    settled(prometheus, "shard_bytes_total", sum(path.stat().st_size for path in shards))
    epochs = "steps_total{experiment='star'}"
    settled(prometheus, epochs, 10 * 3000)
    stops = sum(sum(table["stop_iteration"].to_pylist()) for table in rows_of(outputs[0]).values())
    settled(prometheus, "steps_total{experiment='crossing'}", stops)
    # Each network's neurons are grouped at the start of its only segment, at least.
    assert prometheus.number("sum(ray_mcrelu_regroupings_total)") >= 10

    names = set(prometheus.ask("label/__name__/values"))
    for expression in EXPRESSIONS:
        asked = re.sub(r"\$SessionName|\$experiment", ".*", expression)
        asked = asked.replace("$__rate_interval", "1h")
        assert "$" not in asked
        assert prometheus.ask("query", query=asked)["result"], expression
        assert set(NAME.findall(expression)) <= names
    for variable in DASHBOARD["templating"]["list"][1:]:
        metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["definition"])[0]
        values = prometheus.ask(f"label/{label}/values", **{"match[]": metric})
        assert values
        assert variable["name"] == label


def shard_files_of(one: Output, folder: Path) -> list[Path]:
    own = "star" if one.sweep.cells[0].experiment == "star" else "line"
    return shard_files(folder / own, one.sweep)


@pytest.mark.slow
def test_the_example_of_a_configuration_is_valid() -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs Debian's prometheus")
    example = DASHBOARDS / "prometheus.yml"
    command = [program, "check", "config", "--syntax-only", str(example)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr

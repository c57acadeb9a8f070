"""A node that announces its end, as spot machines do, gets no new blocks and loses none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import QUICK_HEALTH_CHECKS, cluster_of
from machines import ROOT
from notices import metadata_server, path_with, script
from processes import busy_workers
from small_sweeps import assert_same_rows, output, run_serially, sweep
from test_faults import SLOW, Injector, counting_faults

from mcrelu.errors import ExitCode
from mcrelu.runtime.progress import Tally
from mcrelu.runtime.sweeping import do_sweep

LONGER = SLOW | {"networks": 80}  # 20 blocks
CALM = 5  # looks at a node in a row at which it had nothing to do


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_a_drained_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    wanted, faults = sweep(**LONGER), []
    calm, before = [0], [0]
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine has no time for blocks
    with cluster_of(_system_config=QUICK_HEALTH_CHECKS) as cluster:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        cluster.wait_for_nodes()
        drained: list[Any] = []

        def start() -> RayExecutor:
            executor = RayExecutor.join(cluster.address)
            faults.append(counting_faults(executor))
            return executor

        def drain_then_remove(tally: Tally) -> None:
            busy = len(busy_workers(os.getpid()))
            if not drained and tally.blocks_done >= 2 and busy == 2:
                drained.append(nodes.pop())
                drain(cluster.address, drained[0].node_id, tmp_path)
            elif drained and calm[0] < CALM:
                calm[0] = calm[0] + 1 if busy < 2 else 0
                if calm[0] == CALM:
                    before[0] = tally.blocks_done
                    cluster.remove_node(drained[0], allow_graceful=False)

        done = output(tmp_path / "out", wanted)
        assert do_sweep(done, start, Injector(drain_then_remove)) == ExitCode.DONE
    assert calm[0] == CALM
    assert before[0] < 20  # there was still work when the node went
    assert faults == [[]]
    assert_same_rows(done, run_serially(tmp_path / "serial", wanted))


def drain(address: str, node_id: str, folder: Path) -> None:
    """Announce a node's end as AWS does, and pass that on as our machines do."""
    script(folder, "sleep", "")
    script(folder, "pgrep", f"echo 1 raylet --node_id={node_id}")
    path = f"{Path(sys.executable).parent}:{path_with(folder)}"
    with metadata_server() as metadata:
        metadata.notice = True
        command = ["sh", str(ROOT / "deploy" / "drain-on-notice.sh"), address, metadata.url]
        subprocess.run(command, check=True, env=os.environ | {"PATH": path}, timeout=60.0)

"""Clusters of several nodes on this machine, with token authentication as an embedded one has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# A node is dead after 1.5 s of silence instead of a minute.
QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


@contextmanager
def cluster_of(monkeypatch: pytest.MonkeyPatch, **head: Any) -> Iterator[Any]:
    """A cluster with a head without CPUs, for nodes to be added."""
    import ray
    from ray.cluster_utils import Cluster

    from mcrelu.runtime import ray_cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    ray_cluster._reread_environment()
    head = {"num_cpus": 0, "include_dashboard": False, **head}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
        monkeypatch.delenv("RAY_AUTH_MODE")
        ray_cluster._reread_environment()

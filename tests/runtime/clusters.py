"""Clusters on this machine, with token authentication as embedded ones have."""

from __future__ import annotations

import logging
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
def cluster_of(**head: Any) -> Iterator[Any]:
    """A cluster with a head without CPUs, for nodes to be added."""
    import ray
    from ray.cluster_utils import Cluster

    with _token_authentication():
        settings = {"num_cpus": 0, "include_dashboard": False, **head}
        cluster = Cluster(initialize_head=True, head_node_args=settings)
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def joined_cluster(**settings: Any) -> Iterator[None]:
    """A cluster of one node that this process has started and joined itself."""
    import ray

    with _token_authentication():
        try:
            ray.init(
                address="local", include_dashboard=False, log_to_driver=False,
                logging_level=logging.ERROR, **settings,
            )  # fmt: skip
            yield
        finally:
            ray.shutdown()


@contextmanager
def _token_authentication() -> Iterator[None]:
    """Set the mode, as ``ray.init`` would for the rest of the process, and take it back.

    Ray keeps what it has read: the variable and what it believes must change together.
    """
    from mcrelu.runtime import ray_cluster

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_AUTH_MODE", "token")
            ray_cluster._reread_environment()
            yield
    finally:
        ray_cluster._reread_environment()

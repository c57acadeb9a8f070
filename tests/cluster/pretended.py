"""Machines that Ray's autoscaler starts and ends, each one more raylet on the head's machine."""

from __future__ import annotations

from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider


class Machines(FakeMultiNodeProvider):
    """Ray's own pretended machines, of a kind whose memory is known."""

    def create_node_with_resources_and_labels(
        self,
        node_config: dict[str, Any],
        tags: dict[str, str],
        count: int,
        resources: dict[str, float],
        labels: dict[str, str],
    ) -> None:
        """Start machines."""
        own = {name: value for name, value in resources.items() if name != "memory"}
        start: Any = super().create_node_with_resources_and_labels
        start(node_config, tags, count, own, labels)

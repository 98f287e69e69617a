"""What a repair changes in the job cluster. All pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Clusters API, "availability"; AWS is the cloud whose clusters use spot instances by default.
_ON_DEMAND = {
    "aws_attributes": "ON_DEMAND",
    "azure_attributes": "ON_DEMAND_AZURE",
    "gcp_attributes": "ON_DEMAND_GCP",
}
_POOLS = ("instance_pool_id", "driver_instance_pool_id")


@dataclass(frozen=True)
class ClusterChanges:
    """Changes of a job's ``new_cluster``; false when there are none.

    Attributes:
        node_type_id: Node type of workers and driver, empty to keep theirs.
        on_demand: True to use no spot instances.
    """

    node_type_id: str = ""
    on_demand: bool = False

    def __bool__(self) -> bool:
        return bool(self.node_type_id) or self.on_demand

    def __str__(self) -> str:
        """Say what the clusters are made of from now on."""
        spot = "on-demand instances" if self.on_demand else ""
        return " and ".join(filter(None, [self.node_type_id, spot]))

    def applied_to(self, new_cluster: Mapping[str, Any]) -> dict[str, Any]:
        """Return a changed copy of a cluster specification."""
        changed = dict(new_cluster)
        if self.node_type_id:
            # A cluster takes its nodes from a pool or by their type, never both.
            for pool in _POOLS:
                changed.pop(pool, None)
            changed["node_type_id"] = self.node_type_id
            if "driver_node_type_id" in changed:
                changed["driver_node_type_id"] = self.node_type_id
        # The nodes of a pool are of the pool's kind.
        if self.on_demand and not any(pool in changed for pool in _POOLS):
            cloud = next((name for name in _ON_DEMAND if name in changed), "aws_attributes")
            changed[cloud] = {**(changed.get(cloud) or {}), "availability": _ON_DEMAND[cloud]}
        return changed


def change_clusters(settings: Mapping[str, Any], changes: ClusterChanges) -> dict[str, Any]:
    """Return a copy of a job's settings with all of its job clusters changed."""
    if not changes or not settings.get("job_clusters"):
        return dict(settings)
    clusters = [
        {**cluster, "new_cluster": changes.applied_to(cluster["new_cluster"])}
        for cluster in settings["job_clusters"]
    ]
    return {**settings, "job_clusters": clusters}

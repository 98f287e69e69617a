"""``/api/2.x/clusters/*``, as far as clients ask for it before they run a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.local.workspace.api.requests import Nothing
from blocks.local.workspace.api.routing import Route, Version, route
from blocks.local.workspace.clusters import LiveCluster
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import invalid
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.models import Settings

_VERSIONS: tuple[Version, ...] = ("2.0", "2.1")
# The newest first; clients choose by the Scala version and by "LTS" in the name.
_SPARK_VERSIONS = [
    {"key": "17.3.x-scala2.13", "name": "17.3 LTS (includes Apache Spark 4.0.0, Scala 2.13)"},
    {"key": "16.4.x-scala2.13", "name": "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.13)"},
    {"key": "16.4.x-scala2.12", "name": "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.12)"},
    {"key": "15.4.x-scala2.12", "name": "15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)"},
]
_NODE_TYPE = {
    "node_type_id": "i3.xlarge",
    "memory_mb": 31232,
    "num_cores": 4.0,
    "num_gpus": 0,
    "description": "i3.xlarge",
    "instance_type_id": "i3.xlarge",
    "category": "Storage Optimized",
    "is_deprecated": False,
    "is_hidden": False,
    "is_io_cache_enabled": True,
    # The SDK chooses by them (``clusters.select_node_type``).
    "node_instance_type": {
        "instance_type_id": "i3.xlarge",
        "local_disks": 1,
        "local_disk_size_gb": 950,
        "local_nvme_disks": 0,
        "local_nvme_disk_size_gb": 0,
    },
    "photon_driver_capable": True,
    "photon_worker_capable": True,
    "support_cluster_tags": True,
    "support_ebs_volumes": True,
    "support_port_forwarding": True,
}


class ClusterGet(Settings):
    """``get``."""

    cluster_id: str


class ClustersApi:
    """Handlers of the endpoints for clusters: those that tasks are running on.

    Args:
        engine: Knows the clusters that are up.
        identity: Of the workspace.
    """

    def __init__(self, engine: Engine, identity: Identity) -> None:
        self._engine = engine
        self._identity = identity

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("GET", "clusters/spark-versions", _VERSIONS, Nothing, self._spark_versions),
            route("GET", "clusters/list-node-types", _VERSIONS, Nothing, self._node_types),
            route("GET", "clusters/list", _VERSIONS, Nothing, self._list),
            route("GET", "clusters/get", _VERSIONS, ClusterGet, self._get),
        ]

    def _spark_versions(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        return {"versions": _SPARK_VERSIONS}

    def _node_types(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        return {"node_types": [_NODE_TYPE]}

    def _list(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        clusters = [self._shown(cluster) for cluster in self._engine.clusters]
        return {"clusters": clusters} if clusters else {}

    def _get(self, request: ClusterGet, _version: Version) -> Mapping[str, Any]:
        for cluster in self._engine.clusters:
            if cluster.cluster_id == request.cluster_id:
                return self._shown(cluster)
        raise invalid(f"Cluster {request.cluster_id} does not exist")

    def _shown(self, cluster: LiveCluster) -> Mapping[str, Any]:
        return {
            "cluster_id": cluster.cluster_id,
            "cluster_name": cluster.cluster_id,
            "creator_user_name": self._identity.user_name,
            "spark_version": _SPARK_VERSIONS[0]["key"],
            "node_type_id": _NODE_TYPE["node_type_id"],
            "num_workers": 0,
            "state": "RUNNING",
            "state_message": "",
        }

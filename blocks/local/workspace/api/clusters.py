"""``/api/2.x/clusters/*``: all-purpose clusters, and what clients ask before they run a job.

States and their codes are those of https://docs.databricks.com/api/workspace/clusters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.local.workspace.all_purpose import AllPurposeClusters
from blocks.local.workspace.api.requests import Nothing
from blocks.local.workspace.api.routing import Route, Version, route
from blocks.local.workspace.clusters import ClusterState, LiveCluster
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import invalid, no_cluster
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.models import NewCluster, Settings
from blocks.local.workspace.settings import fill_in_cluster
from blocks.local.workspace.store.clusters import AllPurposeCluster, Clusters

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

# Clients edit what they got, with all that is no setting.
_NO_SETTINGS = {
    "cluster_id",
    "cluster_source",
    "creator_user_name",
    "start_time",
    "state",
    "state_message",
    "terminated_time",
    "termination_reason",
}


class ClusterId(Settings):
    """``get``, ``start``, ``restart``, ``delete`` and ``permanent-delete``."""

    cluster_id: str


class ClusterCreate(NewCluster):
    """``create``."""

    cluster_name: str = ""


class ClusterEdit(ClusterCreate):
    """``edit``."""

    cluster_id: str


class ClustersApi:
    """Handlers of the endpoints for clusters: all-purpose ones, and those of jobs that are up.

    Args:
        clusters: Where all-purpose clusters are kept.
        engine: Has the clusters that are up.
        identity: Of the workspace.
    """

    def __init__(self, clusters: Clusters, engine: Engine, identity: Identity) -> None:
        self._clusters = AllPurposeClusters(clusters, engine)
        self._engine = engine
        self._identity = identity

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            route("GET", "clusters/spark-versions", _VERSIONS, Nothing, self._spark_versions),
            route("GET", "clusters/list-node-types", _VERSIONS, Nothing, self._node_types),
            route("GET", "clusters/list", _VERSIONS, Nothing, self._list),
            route("GET", "clusters/get", _VERSIONS, ClusterId, self._get),
            route("POST", "clusters/create", _VERSIONS, ClusterCreate, self._create),
            route("POST", "clusters/edit", _VERSIONS, ClusterEdit, self._edit),
            route("POST", "clusters/start", _VERSIONS, ClusterId, self._start),
            route("POST", "clusters/restart", _VERSIONS, ClusterId, self._restart),
            route("POST", "clusters/delete", _VERSIONS, ClusterId, self._terminate),
            route("POST", "clusters/permanent-delete", _VERSIONS, ClusterId, self._delete),
        ]

    def _spark_versions(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        return {"versions": _SPARK_VERSIONS}

    def _node_types(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        return {"node_types": [_NODE_TYPE]}

    def _list(self, _request: Nothing, _version: Version) -> Mapping[str, Any]:
        clusters = self._all()
        return {"clusters": clusters} if clusters else {}

    def _get(self, request: ClusterId, _version: Version) -> Mapping[str, Any]:
        for cluster in self._all():
            if cluster["cluster_id"] == request.cluster_id:
                return cluster
        raise no_cluster(request.cluster_id)

    def _create(self, request: ClusterCreate, _version: Version) -> Mapping[str, Any]:
        return {"cluster_id": self._clusters.create(_checked(request))}

    def _edit(self, request: ClusterEdit, _version: Version) -> Mapping[str, Any]:
        self._clusters.edit(request.cluster_id, _checked(request))
        return {}

    def _start(self, request: ClusterId, _version: Version) -> Mapping[str, Any]:
        self._clusters.start(request.cluster_id)
        return {}

    def _restart(self, request: ClusterId, _version: Version) -> Mapping[str, Any]:
        self._clusters.restart(request.cluster_id)
        return {}

    def _terminate(self, request: ClusterId, _version: Version) -> Mapping[str, Any]:
        self._clusters.terminate(request.cluster_id)
        return {}

    def _delete(self, request: ClusterId, _version: Version) -> Mapping[str, Any]:
        self._clusters.delete(request.cluster_id)
        return {}

    def _all(self) -> list[Mapping[str, Any]]:
        kept = {cluster.cluster_id: cluster for cluster in self._clusters.list()}
        live = [item for item in self._engine.pool.live() if item.cluster_id not in kept]
        return [*map(self._shown, kept.values()), *map(self._shown_live, live)]

    def _shown(self, cluster: AllPurposeCluster) -> Mapping[str, Any]:
        state = self._clusters.state(cluster.cluster_id)
        shown = {
            **cluster.settings,
            "cluster_id": cluster.cluster_id,
            "creator_user_name": self._identity.user_name,
            "cluster_source": "API",
            "start_time": cluster.created,
            "state": state,
            "state_message": "",
        }
        if state is not ClusterState.TERMINATED:
            return shown
        if not cluster.terminated:
            reason = {"code": "DRIVER_UNREACHABLE", "type": "SERVICE_FAULT"}
            return {**shown, "termination_reason": reason}
        reason = {"code": "USER_REQUEST", "type": "SUCCESS"}
        return {**shown, "terminated_time": cluster.terminated, "termination_reason": reason}

    def _shown_live(self, cluster: LiveCluster) -> Mapping[str, Any]:
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


def _checked(request: ClusterCreate) -> dict[str, Any]:
    if not request.spark_version:
        raise invalid("Missing required field: spark_version")
    settings = request.model_dump(mode="json", exclude_none=True, exclude=_NO_SETTINGS)
    fill_in_cluster(settings, "")
    return settings

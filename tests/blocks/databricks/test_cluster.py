"""What a repair changes in the job cluster."""

from typing import Any

import pytest

from blocks.databricks import ClusterChanges, change_clusters

SMALL = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


def test_no_changes_change_nothing() -> None:
    assert not ClusterChanges()
    assert ClusterChanges().applied_to(SMALL) == SMALL


def test_a_larger_node_for_workers_and_driver() -> None:
    given = {**SMALL, "driver_node_type_id": "i3.xlarge"}
    changed = ClusterChanges("r5.xlarge").applied_to(given)
    assert changed == {**given, "node_type_id": "r5.xlarge", "driver_node_type_id": "r5.xlarge"}
    assert given["node_type_id"] == "i3.xlarge"


def test_a_larger_node_comes_from_no_pool() -> None:
    given = {"num_workers": 1, "instance_pool_id": "p", "driver_instance_pool_id": "q"}
    assert ClusterChanges("r5.xlarge").applied_to(given) == {
        "num_workers": 1,
        "node_type_id": "r5.xlarge",
    }


@pytest.mark.parametrize(
    ("given", "cloud", "expected"),
    [
        ({}, "aws_attributes", {"availability": "ON_DEMAND"}),
        (
            {"aws_attributes": {"availability": "SPOT", "zone_id": "auto"}},
            "aws_attributes",
            {"availability": "ON_DEMAND", "zone_id": "auto"},
        ),
        ({"azure_attributes": {}}, "azure_attributes", {"availability": "ON_DEMAND_AZURE"}),
        ({"gcp_attributes": None}, "gcp_attributes", {"availability": "ON_DEMAND_GCP"}),
    ],
)
def test_on_demand_is_said_in_the_clouds_own_words(
    given: dict[str, Any], cloud: str, expected: dict[str, Any]
) -> None:
    changed = ClusterChanges(on_demand=True).applied_to(SMALL | given)
    assert changed == SMALL | {cloud: expected}


def test_the_pool_says_what_kind_its_nodes_are() -> None:
    given = {"instance_pool_id": "p", "num_workers": 1}
    assert ClusterChanges(on_demand=True).applied_to(given) == given


def test_all_clusters_of_a_job_are_changed_and_nothing_else() -> None:
    clusters = [{"job_cluster_key": key, "new_cluster": SMALL} for key in ("a", "b")]
    settings = {"name": "job", "job_clusters": clusters}
    changed = change_clusters(settings, ClusterChanges("r5.xlarge"))
    assert [each["new_cluster"]["node_type_id"] for each in changed["job_clusters"]] == [
        "r5.xlarge",
        "r5.xlarge",
    ]
    assert changed["name"] == "job"
    assert change_clusters(changed, ClusterChanges("r5.xlarge")) == changed
    assert change_clusters(settings, ClusterChanges()) == settings
    assert change_clusters({"name": "serverless"}, ClusterChanges("r5.xlarge")) == {
        "name": "serverless"
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (ClusterChanges("r5.xlarge"), "r5.xlarge"),
        (ClusterChanges(on_demand=True), "on-demand instances"),
        (ClusterChanges("r5.xlarge", on_demand=True), "r5.xlarge and on-demand instances"),
    ],
)
def test_changes_are_said_in_words(changes: ClusterChanges, words: str) -> None:
    assert str(changes) == words

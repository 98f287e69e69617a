"""The Spark cluster as a process."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from blocks.local.object_store import ObjectStore
from blocks.local.workspace.notebook.cluster import SparkCluster, SparkClusterError
from tests.blocks.local.workspace.notebook.desk import Desk, printed


def test_a_cluster_starts_and_stops() -> None:
    cluster = SparkCluster.start()
    assert cluster.alive
    assert cluster.remote.startswith("sc://127.0.0.1:")
    cluster.stop()
    assert not cluster.alive
    assert not psutil.pid_exists(cluster.pid)
    cluster.stop()


def test_clusters_do_not_share_tables(desk: Desk) -> None:
    other = SparkCluster.start()
    try:
        create = "spark.range(2).write.saveAsTable('mine')\nprint(spark.table('mine').count())"
        assert printed(desk.run(create)) == "2\n"
        assert "TABLE_OR_VIEW_NOT_FOUND" in Desk(other.remote).run("table('mine').count()").error
    finally:
        other.stop()


def test_an_engine_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pysail").mkdir()
    (tmp_path / "pysail" / "__init__.py").write_text("raise ImportError('no engine today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SparkClusterError, match="did not start: ImportError: no engine today"):
        SparkCluster.start()


def test_a_cluster_has_the_keys_of_the_object_store_and_its_notebooks_do_not(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
    cluster = SparkCluster.start()
    try:
        assert "DATABRICKS_TOKEN" not in psutil.Process(cluster.pid).environ()
        outcome = Desk(cluster.remote).run(
            "import os\nprint([name for name in os.environ if name.startswith('AWS_')])\n"
            f"data = 's3://{object_store.bucket}/notebook-tests/data'\n"
            "spark.range(3).write.csv(data, header=True)\n"
            "print(spark.read.csv(data, header=True).count())"
        )
        assert printed(outcome) == "[]\n3\n"
    finally:
        cluster.stop()

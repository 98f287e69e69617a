"""Paths that a notebook reads and writes with Spark."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException

from blocks.local.workspace.notebook.session import engine_path, input_path
from tests.blocks.local.workspace.notebook.desk import Desk, printed

DBFS = Path("/state/dbfs")


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("file:/data/a b.csv", "file:///data/a b.csv"),
        ("file:///data", "file:///data"),
        ("/data", "/data"),
        ("dbfs:/a b/*.csv", "file:///state/dbfs/a b/*.csv"),
        ("dbfs:///x", "file:///state/dbfs/x"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x"),
    ],
)
def test_paths_the_engine_understands(path: str, known: str) -> None:
    assert engine_path(path, DBFS) == known


@pytest.mark.parametrize("path", ["dbfs:/../x", "abc:/x", "s3:/bucket/key", "data/x.csv", ""])
def test_paths_the_engine_would_take_for_others(path: str) -> None:
    with pytest.raises(AnalysisException, match=r"file system|absolute"):
        engine_path(path, DBFS)


def test_an_input_must_exist_unless_only_the_engine_can_tell(tmp_path: Path) -> None:
    assert input_path(f"file:{tmp_path}", DBFS) == f"file://{tmp_path}"
    assert input_path("s3://bucket/missing", DBFS) == "s3://bucket/missing"
    assert input_path(f"{tmp_path}/*.csv", DBFS) == f"{tmp_path}/*.csv"
    with pytest.raises(AnalysisException, match=r"PATH_NOT_FOUND.*file:/.*/missing"):
        input_path(f"file:{tmp_path}/missing", DBFS)


def test_what_one_notebook_writes_the_next_one_reads(desk: Desk, tmp_path: Path) -> None:
    desk.dbfs = tmp_path
    data = f"file:{tmp_path}/data"
    write = "spark.range(3).withColumnRenamed('id', 'n').write.csv({!r}, header=True)"
    read = "df = spark.read.csv({!r}, header=True)\nprint(df.columns, df.count())"
    assert desk.run(write.format(data)).status == "succeeded"
    assert list(tmp_path.glob("data/*.csv"))
    for path in (data, f"{tmp_path}/data", f"file://{tmp_path}/data", "dbfs:/data"):
        assert printed(desk.run(read.format(path))) == "['n'] 3\n"


@pytest.mark.parametrize(
    "code",
    [
        "spark.read.csv('file:{0}/missing').count()",
        "spark.read.parquet('{0}/missing').schema",
        "spark.range(2).join(spark.read.json('{0}/missing').limit(1)).write.csv('{0}/out')",
    ],
)
def test_a_missing_input_fails_the_notebook(desk: Desk, tmp_path: Path, code: str) -> None:
    outcome = desk.run(code.format(tmp_path))
    assert outcome.status == "failed"
    assert outcome.error.startswith("AnalysisException: [PATH_NOT_FOUND] Path does not exist: ")
    assert outcome.error.endswith(f"{tmp_path}/missing")


def test_a_session_is_private_to_its_notebook(desk: Desk) -> None:
    define = "spark.range(1).createOrReplaceTempView('mine')\nspark.table('mine').count()"
    assert desk.run(define).status == "succeeded"
    assert "TABLE_OR_VIEW_NOT_FOUND" in desk.run("spark.table('mine').count()").error


def test_get_or_create_gives_the_session_of_the_notebook(desk: Desk) -> None:
    code = (
        "from pyspark.sql import SparkSession\n"
        "print(SparkSession.builder.appName('x').getOrCreate() is spark)"
    )
    assert printed(desk.run(code)) == "True\n"

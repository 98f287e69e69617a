"""Both notebooks on Sail, the embedded Spark engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.notebooks.pipeline import NOTEBOOKS, read_folder, run_both, run_notebook
from tests.notebooks.sources import (
    HYDRO,
    SOLAR,
    WIND,
    expected_result,
    export_sample,
    numbers,
    write_source,
)


@pytest.mark.parametrize(
    ("country", "first", "last"),
    [
        ("Switzerland", 1985, 2021),
        ("Cote d'Ivoire", 2000, 2020),
        ("Congo, Democratic Republic of", 2000, 2021),
        ("Middle East", 1985, 2021),  # 2021 in solar only
        ("Lesotho", 2000, 2021),  # no wind
        ("South Sudan", 2012, 2020),
    ],
)
def test_sample(spark: SparkSession, tmp_path: Path, country: str, first: int, last: int) -> None:
    export_sample(country, tmp_path / "input")

    exits = run_both(spark, country, (tmp_path / "input").as_uri(), tmp_path.as_uri())

    rows = read_folder((tmp_path / "transformed").as_uri())
    assert numbers(rows) == expected_result(tmp_path / "input")
    assert exits == [json.dumps({"rows": last - first + 1, "years": [first, last]})] * 2
    assert len(list((tmp_path / "transformed").iterdir())) == 1


def test_any_sources(spark: SparkSession, tmp_path: Path) -> None:
    columns = ["Bio.gas, `wet` (% electricity)", 'Tidal "M" (% electricity)', "Été (% electricity)"]
    for index, column in enumerate(columns):
        rows = [("A", 2000 + index, 0.1), ("A", 2010, 0.2)]
        write_source(tmp_path / "in put" / f"{index} é.csv", column, rows)

    run_both(spark, "A", f"file://{tmp_path}/in put", tmp_path.as_uri())

    rows_read = read_folder((tmp_path / "transformed").as_uri())
    assert list(rows_read[0]) == ["Year", *columns, "SHW%"]
    assert [row["SHW%"] for row in rows_read] == ["", "", "", "0.6"]


def test_second_run_replaces_what_the_first_one_wrote(spark: SparkSession, tmp_path: Path) -> None:
    for years in (range(1985, 2022), range(2000, 2003)):
        for column in (HYDRO, SOLAR):
            write_source(
                tmp_path / "input" / f"{column[:5]}.csv", column, [("A", y, 1) for y in years]
            )
        run_both(spark, "A", (tmp_path / "input").as_uri(), tmp_path.as_uri())

    for folder in ("joined", "transformed"):
        years_read = {row["Year"] for row in read_folder((tmp_path / folder).as_uri())}
        assert years_read == {"2000", "2001", "2002"}


@pytest.mark.parametrize("notebook", ["join_data", "transform_data"])
@pytest.mark.parametrize("exists", [True, False])
def test_input_without_files(
    spark: SparkSession, tmp_path: Path, notebook: str, exists: bool
) -> None:
    folder = tmp_path / "input"
    if exists:
        folder.mkdir()

    with pytest.raises(ValueError, match=r"There is no CSV file under .*input"):
        run_notebook(
            spark, notebook, country="A", input_path=folder.as_uri(), output_path=tmp_path.as_uri()
        )


JOIN_REFUSES = {
    "wrong country": ([("A", 2000, 1), ("B", 2001, 1)], "1 rows of another entity than 'A'"),
    "no country": ([(None, 2000, 1)], "1 rows of another entity than 'A'"),
    "repeated year": ([("A", 2000, 1), ("A", 2000, 2)], "2 rows for 1 years"),
    "no year": ([("A", None, 1)], "1 rows for 0 years"),
    "no rows at all": ([], "have no rows for 'A'"),
    "text for a year": ([("A", "two", 1)], "two"),
    "text for a share": ([("A", 2000, "much")], "much"),
}


@pytest.mark.parametrize(("rows", "message"), JOIN_REFUSES.values(), ids=JOIN_REFUSES)
def test_join_refuses(
    spark: SparkSession, tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    write_source(tmp_path / "input" / "hydro.csv", HYDRO, rows)
    write_source(tmp_path / "input" / "wind.csv", WIND)

    with pytest.raises(Exception, match=message):
        run_both(spark, "A", (tmp_path / "input").as_uri(), tmp_path.as_uri())

    assert not (tmp_path / "transformed").exists()


def test_join_refuses_one_source_twice(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_source(tmp_path / "input" / f"{name}.csv", HYDRO, [("A", 2000, 1)])

    with pytest.raises(ValueError, match="hold the same source"):
        run_both(spark, "A", (tmp_path / "input").as_uri(), tmp_path.as_uri())


@pytest.mark.parametrize("header", ["", "Entity,Year,Hydro", "Entity,Year,Code,Hydro"])
def test_join_refuses_other_layout(spark: SparkSession, tmp_path: Path, header: str) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "other.csv").write_text(f"{header}\n")

    with pytest.raises(ValueError, match=r"other\.csv has the columns .*: expected"):
        run_both(spark, "A", folder.as_uri(), tmp_path.as_uri())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HYDRO},Year\n1,2000\n", "expected Year and one column a source"),
        ("Year\n2000\n", "expected Year and one column a source"),
        (f"Year,{HYDRO}\n", "have no rows for 'A'"),
        (f"Year,{HYDRO}\n2000,1\n2000,2\n", "2 rows for 1 years"),
        (f"Year,{HYDRO}\n2000,much\n", "much"),
    ],
)
def test_transform_refuses(spark: SparkSession, tmp_path: Path, text: str, message: str) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "part.csv").write_text(text)

    with pytest.raises(Exception, match=message):
        run_notebook(
            spark,
            "transform_data",
            country="A",
            input_path=folder.as_uri(),
            output_path=(tmp_path / "output").as_uri(),
        )

    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("notebook", ["join_data", "transform_data"])
def test_source_format(notebook: str) -> None:
    first, *cells = (NOTEBOOKS / f"{notebook}.py").read_text().split("\n\n# COMMAND ----------\n\n")

    assert first.startswith("# Databricks notebook source\n# MAGIC %md\n# MAGIC # ")
    assert all(cell.startswith("# DBTITLE 1,") for cell in cells)

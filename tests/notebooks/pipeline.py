"""Run the notebooks as they are, one after the other, on any Spark session.

It needs nothing of this project but the notebooks, so that it also runs where only Spark is
installed. A notebook in Databricks source format is a Python file whose other cells are comments.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class _Exit(Exception):  # noqa: N818 (as dbutils.notebook.exit, it ends a notebook in good order)
    """Carries the value of ``dbutils.notebook.exit``."""


@dataclass
class _Widgets:
    parameters: dict[str, str]

    def text(self, name: str, default: str, label: str) -> None:
        self.parameters.setdefault(name, default)

    def get(self, name: str) -> str:
        return self.parameters[name]


class _Notebook:
    @staticmethod
    def exit(value: str) -> NoReturn:
        raise _Exit(value)


@dataclass
class _DBUtils:
    widgets: _Widgets
    notebook: _Notebook


def run_notebook(spark: SparkSession, name: str, **parameters: str) -> str:
    """Run ``notebooks/<name>.py`` and return its exit value; what it raises passes through."""
    file = NOTEBOOKS / f"{name}.py"
    names = {
        "spark": spark,
        "dbutils": _DBUtils(_Widgets(parameters), _Notebook()),
        "display": lambda frame: frame.collect(),
    }
    try:
        exec(compile(file.read_text(encoding="utf-8"), file, "exec"), names)
    except _Exit as end:
        return str(end)
    raise AssertionError(f"{name} ended without dbutils.notebook.exit")


def run_both(spark: SparkSession, country: str, input_path: str, folder: str) -> list[str]:
    """Run ``join_data`` and ``transform_data`` into ``folder`` (a URI); return the exit values."""
    joined, transformed = f"{folder}/joined", f"{folder}/transformed"
    return [
        run_notebook(
            spark, "join_data", country=country, input_path=input_path, output_path=joined
        ),
        run_notebook(
            spark, "transform_data", country=country, input_path=joined, output_path=transformed
        ),
    ]


def read_folder(uri: str) -> list[dict[str, str]]:
    """Return the rows of a folder of CSV part files, as text, file by file."""
    rows = []
    for part in sorted(Path(unquote(urlsplit(uri).path)).glob("*.csv")):
        with part.open(encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    return rows

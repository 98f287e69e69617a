"""Parsing notebooks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.notebook.contract import NotebookFile
from blocks.local.workspace.notebook.source import HEADER, Cell, NotebookFormatError, parse


def cells_of(text: str) -> tuple[Cell, ...]:
    return parse(NotebookFile("/Shared/nb", text))


def rendered(cells: list[Cell]) -> str:
    """Write cells as Databricks exports them."""
    parts = []
    for cell in cells:
        lines = cell.source.split("\n")
        if cell.language != "python":
            lines = [f"# MAGIC {line}" for line in lines]
        title = [f"# DBTITLE 1,{cell.title}"] if cell.title else []
        parts.append("\n".join(title + lines))
    return HEADER + "\n" + "\n\n# COMMAND ----------\n\n".join(parts)


def without_blank_ends(text: str) -> str:
    return "\n".join(text.split("\n")).strip("\n")


line = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff")
).filter(lambda text: not text.startswith(("#", "%")) and text.strip())
body = st.lists(line, min_size=1, max_size=5).map("\n".join)
title = st.one_of(st.just(""), line.map(str.strip).filter(bool))
python = st.builds(Cell, title, st.just("python"), body)
magic = st.sampled_from(["sql", "sh", "run", "pip", "r", "scala", "fs"])
other = st.builds(
    lambda title, language, text: Cell(title, language, f"%{language} {text}"), title, magic, body
)
markdown = st.builds(lambda title, text: Cell(title, "markdown", f"%md\n{text}"), title, body)


@given(st.lists(st.one_of(python, other, markdown), max_size=6))
def test_cells_survive_being_written_and_read(cells: list[Cell]) -> None:
    assert cells_of(rendered(cells)) == tuple(cells)


@given(st.lists(st.one_of(python, other, markdown), max_size=6))
def test_line_ends_and_a_byte_order_mark_do_not_matter(cells: list[Cell]) -> None:
    text = rendered(cells)
    assert cells_of("\ufeff" + text.replace("\n", "\r\n")) == cells_of(text)


@given(st.text())
def test_any_text_gives_cells_or_one_clear_error(text: str) -> None:
    for content in (text, f"{HEADER}\n{text}"):
        for notebook_format in ("SOURCE", "JUPYTER"):
            try:
                parse(NotebookFile("/Shared/nb", content, notebook_format))
            except NotebookFormatError as error:
                assert "/Shared/nb is not a" in str(error)  # noqa: PT017 - both ways are right


def test_source_as_databricks_exports_it() -> None:
    cells = cells_of(
        "# Databricks notebook source\n"
        "# MAGIC %md-sandbox\n"
        "# MAGIC # Title\n"
        "# MAGIC\n"
        "# MAGIC text\n"
        "\n"
        "# COMMAND ----------\n"
        "\n"
        "# DBTITLE 1,Install\n"
        "# MAGIC %pip install -U mlflow\n"
        "dbutils.library.restartPython()\n"
        "\n"
        "# COMMAND ----------\n"
        "\n"
        "# COMMAND ----------\n"
        "\n"
        "# MAGIC %%time\n"
        "# MAGIC %reset_count = 1\n"
        "x = 1  # COMMAND ----------\n"
    )
    assert cells == (
        Cell("", "markdown", "%md-sandbox\n# Title\n\ntext"),
        Cell("Install", "pip", "%pip install -U mlflow\ndbutils.library.restartPython()"),
        Cell("", "python", "%%time\n%reset_count = 1\nx = 1  # COMMAND ----------"),
    )
    assert cells[0].body == "# Title\n\ntext"


@pytest.mark.parametrize(
    ("text", "language", "body"),
    [
        ("%sql select 1", "sql", "select 1"),
        ("%sql\n  select 1", "sql", "  select 1"),
        ("%python\nx = 1", "python", "x = 1"),
        ("%md", "markdown", ""),
        ("%sqlite x", "python", "%sqlite x"),
        ("x % sql", "python", "x % sql"),
    ],
)
def test_the_language_of_a_cell_is_that_of_its_magic(text: str, language: str, body: str) -> None:
    (cell,) = cells_of(f"{HEADER}\n{text}")
    assert (cell.language, cell.body) == (language, body)


@pytest.mark.parametrize("text", ["", "print(1)", f"\n{HEADER}", "# Databricks notebook"])
def test_a_plain_script_is_not_a_notebook(text: str) -> None:
    with pytest.raises(NotebookFormatError, match="first line must be '# Databricks notebook"):
        cells_of(text)


def test_jupyter() -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "text"]},
        {"cell_type": "raw", "metadata": {}, "source": "left out"},
        {
            "cell_type": "code",
            "metadata": {"application/vnd.databricks.v1+cell": {"title": "Query"}},
            "source": "%sql\nselect 1",
            "outputs": [],
            "execution_count": None,
        },
    ]
    content = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    assert parse(NotebookFile("/Shared/nb", content, "JUPYTER")) == (
        Cell("", "markdown", "# Title\ntext"),
        Cell("Query", "sql", "%sql\nselect 1"),
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": 1, "nbformat": 4}', "1", "null"])
def test_json_that_is_not_a_notebook(text: str) -> None:
    with pytest.raises(NotebookFormatError, match="/Shared/nb is not a Jupyter notebook: "):
        parse(NotebookFile("/Shared/nb", text, "JUPYTER"))

"""From the text of a notebook to its cells: Databricks source format and ``.ipynb``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from blocks.local.workspace.notebook.contract import NotebookFile

HEADER = "# Databricks notebook source"

_SEPARATOR = re.compile(r"^# COMMAND -{10,}[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"# DBTITLE \d+,(.*)")
_MAGIC_LINE = re.compile(r"^# MAGIC ?", re.MULTILINE)
_LANGUAGE_MAGIC = re.compile(r"%([\w-]+)(?:[ \t]+|\n|\Z)")
_LANGUAGES = {
    "fs": "fs",
    "md": "markdown",
    "md-sandbox": "markdown",
    "pip": "pip",
    "python": "python",
    "r": "r",
    "run": "run",
    "scala": "scala",
    "sh": "sh",
    "sql": "sql",
}


class NotebookFormatError(ValueError):
    """The text is not a notebook in the format that it claims to be."""


@dataclass(frozen=True)
class Cell:
    """One cell, as its author wrote it.

    Attributes:
        title: Its title, empty when it has none.
        language: ``python``, ``markdown``, ``sql``, ``sh``, ``pip``, ``run``, or another language
            that Databricks has a magic for (``fs``, ``r``, ``scala``).
        source: The text without ``# MAGIC`` prefixes, its ``%sql`` or other magic included.
    """

    title: str
    language: str
    source: str

    @property
    def body(self) -> str:
        """The text without the magic that names its language."""
        magic = _language_magic(self.source)
        return self.source[magic.end() :] if magic else self.source


def parse(file: NotebookFile) -> tuple[Cell, ...]:
    """Return the cells of a notebook, blank ones left out.

    The source format is the one that Databricks exports: a header line, cells apart by
    ``# COMMAND ----------``, an optional ``# DBTITLE 1,…`` line, and ``# MAGIC`` before each line
    that is not plain Python. A plain Python file is one cell.

    Raises:
        NotebookFormatError: If the text is not in the format that ``file`` says it is in.
    """
    if file.format == "SCRIPT":
        return (Cell("", "python", file.content),)
    if file.format == "JUPYTER":
        return _parse_jupyter(file)
    return _parse_source(file)


def _parse_source(file: NotebookFile) -> tuple[Cell, ...]:
    text = file.content.removeprefix("\ufeff").replace("\r\n", "\n")
    header, _, rest = text.partition("\n")
    if header.rstrip() != HEADER:
        raise NotebookFormatError(
            f"{file.path} is not a notebook: its first line must be '{HEADER}'."
        )
    cells = (_source_cell(part) for part in _SEPARATOR.split(rest))
    return tuple(cell for cell in cells if cell.source)


def _source_cell(part: str) -> Cell:
    text = _without_blank_ends(part)
    title = _TITLE.match(text)
    if title:
        text = text[title.end() :]
    return _cell(title[1].strip() if title else "", _MAGIC_LINE.sub("", text))


def _parse_jupyter(file: NotebookFile) -> tuple[Cell, ...]:
    # Imported late: it brings jsonschema, and most notebooks are in the source format.
    import nbformat

    try:
        notebook = nbformat.reads(file.content, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's
        nbformat.validate(notebook)
    except Exception as error:  # nbformat also raises whatever a wrong shape leads to
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise NotebookFormatError(f"{file.path} is not a Jupyter notebook: {reason}") from error
    cells = []
    for entry in notebook.cells:
        title = entry.metadata.get("application/vnd.databricks.v1+cell", {}).get("title", "")
        if entry.cell_type == "markdown":
            cells.append(Cell(title, "markdown", _without_blank_ends(entry.source)))
        elif entry.cell_type == "code":
            cells.append(_cell(title, entry.source))
    return tuple(cell for cell in cells if cell.source)


def _cell(title: str, text: str) -> Cell:
    source = _without_blank_ends(text)
    magic = _language_magic(source)
    return Cell(title, _LANGUAGES[magic[1]] if magic else "python", source)


def _language_magic(source: str) -> re.Match[str] | None:
    magic = _LANGUAGE_MAGIC.match(source)
    return magic if magic and magic[1] in _LANGUAGES else None


def _without_blank_ends(text: str) -> str:
    lines = text.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)

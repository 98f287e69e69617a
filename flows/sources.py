"""Source files: read them strictly, and say exactly what is wrong with a bad one.

A source is a CSV file in the layout ``Entity,Code,Year,<Source> (% electricity)``, the layout
in which Our World in Data publishes these tables. The reader here is the law for what counts
as a good file: a faster loader may take a file only where it is sure to read the same rows.
"""

import codecs
import csv
import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

SHARE_SUFFIX = " (% electricity)"
FIRST_YEAR, LAST_YEAR = 1, 9999
LOWEST_SHARE, HIGHEST_SHARE = 0.0, 100.0

# A bound that no real file meets; it keeps memory bounded for a hostile one.
MAX_LINE_BYTES = 64 * 1024

_KEY_COLUMNS = ("Entity", "Code", "Year")
_LAYOUT = f"Entity,Code,Year,<Source>{SHARE_SUFFIX}"

_YEAR = re.compile(r"\s*\+?0*([0-9]{1,4})\s*", re.ASCII)
_SHARE = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)


class SourceError(ValueError):
    """A source cannot be used. The message says which one, where, why, and what to do."""


@dataclass(frozen=True)
class SourceFile:
    """A source that is readable on this machine.

    Attributes:
        label: The source as the user gave it, without secrets; used in messages.
        path: Where its bytes are.
    """

    label: str
    path: Path


@dataclass(frozen=True)
class SourceHeader:
    """What the first line of a source file says.

    Attributes:
        source: Label of the file.
        name: Name of the source of electricity, such as ``Hydro``.
        column: Title of its column, such as ``Hydro (% electricity)``.
        fields: The fields of `Row` in the order of the file's columns.
    """

    source: str
    name: str
    column: str
    fields: tuple[str, ...]


class Row(NamedTuple):
    """One row of a source.

    Attributes:
        entity: Country, region or the world.
        code: ISO 3166 alpha-3 code or the publisher's own; empty for most regions.
        year: Calendar year.
        share: Percentage of the year's electricity, 0 to 100; ``None`` when missing.
    """

    entity: str
    code: str
    year: int
    share: float | None


class NamedSource(Protocol):
    """Anything that tells the name of a source of electricity and the file it came from."""

    @property
    def name(self) -> str:
        """Name of the source of electricity."""

    @property
    def source(self) -> str:
        """Label of the file."""


def column_title(name: str) -> str:
    """Return the title of the column of the source called `name`."""
    return name + SHARE_SUFFIX


def source_name(column: str) -> str:
    """Return the name of the source whose column has the title `column`."""
    return column.removesuffix(SHARE_SUFFIX)


def open_file(file: SourceFile) -> BinaryIO:
    """Open a source file for reading its bytes.

    Raises:
        SourceError: It cannot be opened.
    """
    try:
        return file.path.open("rb")
    except OSError as error:
        raise SourceError(f"{file.label}: the file cannot be read ({error.strerror}).") from None


def read_header(file: SourceFile) -> SourceHeader:
    """Read and check the header of a source file.

    Raises:
        SourceError: The file is empty or unreadable, or its columns are not the layout's.
    """
    first = next(_records(file), None)
    if first is None:
        raise SourceError(f"{file.label}: the file is empty; it needs the header {_LAYOUT}.")
    line, cells = first
    if line > 1:
        raise SourceError(f"{file.label}, line 1: the line is empty; the header belongs there.")
    return _parse_header(file.label, [cell.strip() for cell in cells])


def read_rows(file: SourceFile) -> Iterator[Row]:
    """Read a source file row by row, checking everything, in bounded memory.

    A byte order mark, either kind of line end, quoted cells, blank lines, spaces around
    numbers, an empty share and an empty code are fine.

    Yields:
        The rows in the order of the file.

    Raises:
        SourceError: On the first row that is wrong, with the line on which it starts.
    """
    fields = read_header(file).fields
    records = _records(file)
    next(records)
    # One bit a year: a file of a million rows needs some megabytes, not hundreds.
    years_seen: dict[str, int] = {}
    for line, cells in records:
        try:
            row = _parse_row(cells, fields)
        except ValueError as error:
            raise SourceError(f"{file.label}, line {line}: {error}.") from None
        seen, bit = years_seen.get(row.entity, 0), 1 << row.year
        if seen & bit:
            raise SourceError(
                f"{file.label}, line {line}: {shown(row.entity)} has the year {row.year} already "
                f"on line {_first_line(file, fields, row)}; keep one of the two."
            )
        years_seen[row.entity] = seen | bit
        yield row
    if not years_seen:
        raise SourceError(f"{file.label}: there are no rows below the header.")


def check_distinct(sources: Iterable[NamedSource]) -> None:
    """Check that no two files carry the same source of electricity.

    Names that differ only in case count as the same, as they do for column names in Spark.

    Raises:
        SourceError: Two files do; both are named.
    """
    seen: dict[str, NamedSource] = {}
    for source in sources:
        other = seen.setdefault(source.name.casefold(), source)
        if other is not source:
            raise SourceError(
                f"{source.source}: the column {column_title(source.name)!r} is already in "
                f"{other.source}; give each source of electricity once."
            )


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of the known names that look most like `name`, the best first.

    Case and accents do not count.
    """
    by_key: dict[str, str] = {}
    for candidate in known:
        by_key.setdefault(_plain_key(candidate), candidate)
    # difflib takes quadratic time; no name is this long.
    matches = difflib.get_close_matches(_plain_key(name[:100]), by_key, n)
    return [by_key[match] for match in matches]


def shown(text: str) -> str:
    """Return a text from outside as messages show it: quoted, on one line, not too long."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def _plain_key(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _lines(file: SourceFile) -> Iterator[str]:
    with open_file(file) as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            place = f"{file.label}, line {number}"
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                raise SourceError(f"{place}: the line is longer than 64 KiB; is this a CSV file?")
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                raise SourceError(f"{place}: the text is not UTF-8; save it as UTF-8.") from None
            if "\0" in text:
                raise SourceError(f"{place}: there is a NUL character; is this a CSV file?")
            yield text


def _records(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which a record starts, and its cells, leaving out blank lines."""
    reader = csv.reader(_lines(file), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        reason = str(error).partition(" - ")[0]  # what follows is advice to Python programmers
        raise SourceError(
            f"{file.label}, line {start}: this is not valid CSV, check quotes and line ends "
            f"({reason})."
        ) from None


def _parse_header(label: str, titles: Sequence[str]) -> SourceHeader:
    place = f"{label}, line 1"
    for title in titles:
        if titles.count(title) > 1:
            raise SourceError(f"{place}: the column {shown(title)} appears more than once.")
    missing = [title for title in _KEY_COLUMNS if title not in titles]
    if missing:
        raise SourceError(
            f"{place}: the column {missing[0]} is missing; the header must be {_LAYOUT}."
        )
    values = [title for title in titles if title not in _KEY_COLUMNS]
    for title in values:
        name = source_name(title)
        if name == title or not name.strip() or not title.isprintable():
            raise SourceError(
                f"{place}: the column {shown(title)} is unexpected; the header must be {_LAYOUT}."
            )
    if len(values) != 1:
        raise SourceError(
            f"{place}: there are {len(values)} columns '<Source>{SHARE_SUFFIX}'; "
            "each file must have one."
        )
    fields = tuple("share" if title in values else title.lower() for title in titles)
    return SourceHeader(label, source_name(values[0]), values[0], fields)


def _parse_row(cells: Sequence[str], fields: Sequence[str]) -> Row:
    if len(cells) != len(fields):
        raise ValueError(f"there are {len(cells)} cells where the header has {len(fields)}")
    cell = dict(zip(fields, cells, strict=True))
    if not cell["entity"].strip(" "):
        raise ValueError("the Entity is empty")
    return Row(cell["entity"], cell["code"], _parse_year(cell["year"]), _parse_share(cell["share"]))


def _parse_year(cell: str) -> int:
    match = _YEAR.fullmatch(cell)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        raise ValueError(f"the Year {shown(cell)} is not a year from {FIRST_YEAR} to {LAST_YEAR}")
    return int(match[1])


def _parse_share(cell: str) -> float | None:
    if not cell.strip():
        return None
    if not _SHARE.fullmatch(cell):
        raise ValueError(f"the share {shown(cell)} is not a number")
    share = float(cell)
    if not LOWEST_SHARE <= share <= HIGHEST_SHARE:
        raise ValueError(f"the share {shown(cell)} is not a percentage from 0 to 100")
    return share


def _first_line(file: SourceFile, fields: Sequence[str], row: Row) -> int:
    """Return the line of the first row with the entity and the year of `row`."""
    entity, year = fields.index("entity"), fields.index("year")
    records = _records(file)
    next(records)
    return next(
        line
        for line, cells in records
        if cells[entity] == row.entity and _parse_year(cells[year]) == row.year
    )

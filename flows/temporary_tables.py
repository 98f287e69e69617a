"""Temporary tables: the sources as loaded for one run, and a country's rows selected from them.

Every table carries the key of its run, so that runs never see each other's tables and a sweeper
knows whose they are. Identifiers are made here, of ``[a-z0-9_]`` alone; values are always bound.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import pandas as pd
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import (
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
)

from flows.postgres_copy import UnusualFileError, can_copy, copy_file, copy_rows
from flows.sources import Row, SourceFile, read_header, read_rows

_PREFIX = "renewables_tmp"
_TEMPORARY_TABLE = re.compile(rf"{_PREFIX}_(?P<run_key>[a-z0-9]{{12,32}})_[0-9]{{1,4}}(_subset)?")
_BATCH_ROWS = 5_000
_SQLITE_BUSY_TIMEOUT_MS = 60_000


class LostRowsError(RuntimeError):
    """A table that was loaded is empty now."""


@dataclass(frozen=True)
class SourceTable:
    """A source as loaded into the database.

    Attributes:
        table: Name of the table.
        name: Name of the source of electricity, such as ``Hydro``.
        column: Title of its column, such as ``Hydro (% electricity)``.
        source: The file, as messages show it.
        rows: Number of rows.
    """

    table: str
    name: str
    column: str
    source: str
    rows: int


@dataclass(frozen=True)
class CountrySubset:
    """One country's rows of one source, in a table of their own.

    Attributes:
        table: Name of the table.
        column: Title of the source's column, such as ``Hydro (% electricity)``.
        name: Name of the source of electricity, such as ``Hydro``.
        years: The years that the source has for the country, in order; empty when it has none.
    """

    table: str
    column: str
    name: str
    years: tuple[int, ...]


@contextmanager
def transaction(connector: SqlAlchemyConnector) -> Iterator[Connection]:
    """Open a connection in a transaction, which is committed unless an exception ends it."""
    with connector.get_engine().begin() as connection:
        if connection.dialect.name == "sqlite":
            # Loads run at the same time, and SQLite lets one write while the others wait.
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_SQLITE_BUSY_TIMEOUT_MS}")
        yield connection


def lock_creation(connection: Connection, table: str) -> None:
    """Let one session at a time create a table of this name, until its transaction ends."""
    # Two sessions that both find no such table would both create it, IF NOT EXISTS or not. SQLite
    # lets one write at a time anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(table))))


def table_name(run_key: str, index: int) -> str:
    """Return the name of a run's table for its source number `index`.

    Raises:
        ValueError: The key is not 12 to 32 characters of ``[a-z0-9]``, or there are too many
            sources.
    """
    name = f"{_PREFIX}_{run_key}_{index}"
    if not _TEMPORARY_TABLE.fullmatch(name):
        raise ValueError(f"No table can be named after run {run_key!r} and source {index}.")
    return name


def load_file(connector: SqlAlchemyConnector, file: SourceFile, table: str) -> SourceTable:
    """Load a source file into a new table, which replaces one that an earlier attempt left.

    The rows are there all or not at all.

    Raises:
        SourceError: The file is not a good source.
    """
    header = read_header(file)
    try:
        with transaction(connector) as connection:
            target = _create_table(connection, table)
            if can_copy(connection):
                rows = copy_file(connection, file, table)
            else:
                rows = _insert_rows(connection, read_rows(file), target)
    except UnusualFileError:
        with transaction(connector) as connection:
            _create_table(connection, table)
            rows = copy_rows(connection, read_rows(file), table)
    return SourceTable(table, header.name, header.column, file.label, rows)


def select_rows(connector: SqlAlchemyConnector, source: SourceTable, country: str) -> CountrySubset:
    """Copy a country's rows of a source into a new table.

    Raises:
        LostRowsError: The source's table is empty.
    """
    rows = _table(source.table)
    name = f"{source.table}_subset"
    with transaction(connector) as connection:
        subset = _create_table(connection, name)
        if _can_be_stored(country):
            chosen = select(rows).where(rows.c.entity == country)
            connection.execute(insert(subset).from_select(list(rows.c.keys()), chosen))
        found = connection.execute(select(subset.c.year).order_by(subset.c.year))
        years = tuple(int(row.year) for row in found)
        if not years and connection.execute(select(rows).limit(1)).first() is None:
            # PostgreSQL empties unlogged tables when it recovers from a crash.
            raise LostRowsError(
                f"The table {source.table} lost the {source.rows} rows loaded from "
                f"{source.source}, as it does when the database server crashes; run again."
            )
    return CountrySubset(name, source.column, source.name, years)


def read_subset(connector: SqlAlchemyConnector, subset: CountrySubset) -> pd.DataFrame:
    """Read a country's rows of one source, by year.

    Returns:
        The columns ``Entity``, ``Code``, ``Year`` and the source's own, in which a missing share
        is NaN.

    Raises:
        LostRowsError: The table does not hold the years that it was made with.
    """
    rows = _table(subset.table)
    with transaction(connector) as connection:
        found = connection.execute(select(rows).order_by(rows.c.year)).all()
    frame = pd.DataFrame.from_records(found, columns=["Entity", "Code", "Year", subset.column])
    if tuple(frame["Year"]) != subset.years:
        raise LostRowsError(f"The table {subset.table} has changed since it was made; run again.")
    return frame.astype({"Year": "int64", subset.column: "float64"})


def known_countries(connector: SqlAlchemyConnector, tables: Iterable[SourceTable]) -> list[str]:
    """Return every entity that any of the sources has, in alphabetical order."""
    names: set[str] = set()
    with transaction(connector) as connection:
        for table in tables:
            names.update(connection.scalars(select(_table(table.table).c.entity).distinct()))
    return sorted(names)


def run_tables(connector: SqlAlchemyConnector) -> dict[str, list[str]]:
    """Return the names of all temporary tables in the database, by the key of their run."""
    with transaction(connector) as connection:
        return _tables_by_run(connection)


def drop_tables(connector: SqlAlchemyConnector, run_key: str) -> list[str]:
    """Drop the temporary tables of one run, and return their names."""
    with transaction(connector) as connection:
        names = _tables_by_run(connection).get(run_key, [])
        for name in names:
            _table(name).drop(connection, checkfirst=True)
    return names


def _tables_by_run(connection: Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(inspect(connection).get_table_names()):
        if match := _TEMPORARY_TABLE.fullmatch(name):
            found.setdefault(match["run_key"], []).append(name)
    return found


def _table(name: str, *prefixes: str) -> Table:
    return Table(
        name,
        MetaData(),
        Column("entity", Text, nullable=False),
        Column("code", Text, nullable=False),
        Column("year", Integer, nullable=False),
        Column("share", Double),
        prefixes=prefixes,
    )


def _create_table(connection: Connection, name: str) -> Table:
    # What can be loaded again needs no write-ahead log; see `LostRowsError`.
    lock_creation(connection, name)
    table = _table(name, *(["UNLOGGED"] if connection.dialect.name == "postgresql" else []))
    table.drop(connection, checkfirst=True)
    table.create(connection)
    return table


def _insert_rows(connection: Connection, rows: Iterator[Row], table: Table) -> int:
    count = 0
    while batch := [row._asdict() for row in islice(rows, _BATCH_ROWS)]:
        connection.execute(insert(table), batch)
        count += len(batch)
    return count


def _can_be_stored(name: str) -> bool:
    """Tell whether a text can be a bound value; drivers refuse NUL and lone surrogates."""
    return "\0" not in name and not any("\ud800" <= char <= "\udfff" for char in name)

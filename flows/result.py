"""The result: its check, and the table ``renewable_share`` in which it lands."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from textwrap import shorten
from typing import Any

import pandas as pd
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Double,
    Insert,
    Integer,
    MetaData,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from flows.sources import HIGHEST_SHARE, LOWEST_SHARE, column_title, source_name
from flows.temporary_tables import lock_creation, transaction

SUM_COLUMN = "SHW%"

# How much of what a notebook reported goes into an error.
_SHOWN = 200

# The notebooks round the sum to six decimals.
_SUM_TOLERANCE = 1e-6
# A reader of CSV may miss the last bit of a number.
_SHARE_TOLERANCE = 1e-9

RENEWABLE_SHARE = Table(
    "renewable_share",
    MetaData(),
    Column("country", Text, primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    # Sources may be any in number and name: {"Hydro": 57.1, "Solar": null, ...}
    Column("shares", JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
    Column("shw", Double),
    Column("loaded_at", DateTime(timezone=True), nullable=False),
)


class ResultError(ValueError):
    """The result is not what the sources say. The message says what differs, and where."""


def check_result(frame: pd.DataFrame, subsets: Sequence[pd.DataFrame]) -> None:
    """Check the notebooks' result against the rows that went into it.

    Args:
        frame: The result: ``Year``, one column per source such as ``Hydro (% electricity)``
            (percent, 0 to 100; NaN when missing), and ``SHW%``, their sum.
        subsets: The country's rows of each source, as `flows.temporary_tables.read_subset` gives
            them.

    Raises:
        ResultError: On the first difference.
    """
    columns = [subset.columns[-1] for subset in subsets]
    if set(frame.columns) != {"Year", *columns, SUM_COLUMN}:
        raise ResultError(
            f"The result has the columns {', '.join(map(str, frame.columns))}; expected are Year, "
            f"{', '.join(columns)} and {SUM_COLUMN}."
        )
    _check_years(frame["Year"], subsets)
    try:
        by_year = frame.set_index("Year").astype("float64")
    except (TypeError, ValueError) as error:
        raise ResultError(f"The result has text where numbers belong ({error}).") from None
    for subset, column in zip(subsets, columns, strict=True):
        _check_shares(by_year[column], subset.set_index("Year")[column])
    _check_sum(by_year[SUM_COLUMN], by_year[columns])


def check_report(frame: pd.DataFrame, reported: str) -> None:
    """Check the result against what the notebook that wrote it said about it.

    Args:
        frame: The result, as for `check_result`.
        reported: JSON with ``rows`` and ``years`` (first and last); empty if it said nothing.

    Raises:
        ResultError: The two differ.
    """
    found = {"rows": len(frame), "years": [int(frame["Year"].min()), int(frame["Year"].max())]}
    try:
        said = json.loads(reported)
    except (ValueError, RecursionError):
        said = None
    if said != found:
        raise ResultError(
            f"transform_data reported {shorten(reported, _SHOWN) or 'nothing'}, but its files have "
            f"{json.dumps(found)}."
        )


def upsert_result(connector: SqlAlchemyConnector, country: str, frame: pd.DataFrame) -> int:
    """Write a checked result into ``renewable_share``, replacing the rows of the same years.

    Args:
        connector: The database: PostgreSQL or SQLite.
        country: The country.
        frame: The result, as for `check_result`.

    Returns:
        The number of rows.

    Raises:
        ValueError: The database is of another kind.
    """
    now = datetime.now(UTC)
    sources = [column for column in frame.columns if column not in ("Year", SUM_COLUMN)]
    rows = [
        {
            "country": country,
            "year": int(record["Year"]),
            "shares": {source_name(column): _number(record[column]) for column in sources},
            "shw": _number(record[SUM_COLUMN]),
            "loaded_at": now,
        }
        for record in frame.to_dict("records")
    ]
    with transaction(connector) as connection:
        _create_result_table(connection)
        connection.execute(_upsert(connection.dialect.name), rows)
    return len(rows)


def read_result(connector: SqlAlchemyConnector, country: str) -> pd.DataFrame:
    """Read what ``renewable_share`` holds for a country, by year.

    Returns:
        The columns of `check_result`'s frame, the sources in alphabetical order.
    """
    table = RENEWABLE_SHARE.c
    query = (
        select(table.year, table.shares, table.shw)
        .where(table.country == country)
        .order_by(table.year)
    )
    with transaction(connector) as connection:
        rows = connection.execute(query).all()
    names = sorted({name for row in rows for name in row.shares})
    return pd.DataFrame(
        {
            "Year": pd.Series([row.year for row in rows], dtype="int64"),
            **{
                column_title(name): pd.Series(
                    [row.shares.get(name) for row in rows], dtype="float64"
                )
                for name in names
            },
            SUM_COLUMN: pd.Series([row.shw for row in rows], dtype="float64"),
        }
    )


def _check_years(years: "pd.Series[Any]", subsets: Sequence[pd.DataFrame]) -> None:
    if not pd.api.types.is_integer_dtype(years):
        raise ResultError("The result has something else than whole numbers as Year.")
    repeated = sorted(set(years[years.duplicated()]))
    if repeated:
        raise ResultError(f"The result has the year {repeated[0]} more than once.")
    expected = {int(year) for subset in subsets for year in subset["Year"]}
    missing, added = sorted(expected - set(years)), sorted(set(years) - expected)
    if missing:
        raise ResultError(f"The result lacks the year {missing[0]}, which the sources have.")
    if added:
        raise ResultError(f"The result has the year {added[0]}, which no source has.")


def _check_shares(shares: "pd.Series[float]", given: "pd.Series[float]") -> None:
    for year, share in shares.items():
        if not (pd.isna(share) or LOWEST_SHARE <= share <= HIGHEST_SHARE):
            raise ResultError(
                f"The result has {share:g} as {shares.name} of {year}, which is not a percentage "
                "from 0 to 100."
            )
    expected = given.reindex(shares.index)
    _check_equal(shares, expected, _SHARE_TOLERANCE, "where the source has")


def _check_sum(sums: "pd.Series[float]", shares: pd.DataFrame) -> None:
    # A year that lacks one share has no sum: it would read as too low a total.
    expected = shares.sum(axis="columns", skipna=False)
    _check_equal(sums, expected, _SUM_TOLERANCE, "where its parts make")


def _check_equal(
    found: "pd.Series[float]", expected: "pd.Series[float]", tolerance: float, where: str
) -> None:
    equal = (found - expected).abs() <= tolerance
    both_missing = found.isna() & expected.isna()
    for year in found.index[~(equal | both_missing)]:
        raise ResultError(
            f"The result has {_shown(found[year])} as {found.name} of {year}, "
            f"{where} {_shown(expected[year])}."
        )


def _shown(value: float) -> str:
    return "nothing" if pd.isna(value) else f"{value:.10g}"


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _create_result_table(connection: Connection) -> None:
    lock_creation(connection, RENEWABLE_SHARE.name)
    connection.execute(CreateTable(RENEWABLE_SHARE, if_not_exists=True))


def _upsert(dialect: str) -> Insert:
    statement: postgresql.Insert | sqlite.Insert
    match dialect:
        case "postgresql":
            statement = postgresql.insert(RENEWABLE_SHARE)
        case "sqlite":
            statement = sqlite.insert(RENEWABLE_SHARE)
        case _:
            raise ValueError(f"The result can be written to PostgreSQL or SQLite, not {dialect}.")
    key = RENEWABLE_SHARE.primary_key.columns
    return statement.on_conflict_do_update(
        index_elements=list(key),
        set_={
            column.name: statement.excluded[column.name]
            for column in RENEWABLE_SHARE.columns
            if column.name not in key
        },
    )

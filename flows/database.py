"""Tasks that touch the database, through the block ``sqlalchemy-connector``."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from prefect import Task, task
from prefect.cache_policies import INPUTS, RUN_ID
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy.exc import InterfaceError, OperationalError

from flows.countries import UnknownCountryError, unknown_country
from flows.download import SourceUnavailableError, fetch, source_label
from flows.sources import shown
from flows.temporary_tables import (
    CountrySubset,
    SourceTable,
    known_countries,
    load_file,
    select_rows,
    table_name,
)

# A retry of a flow run finds what the first try has done already.
ONCE_A_RUN = RUN_ID + INPUTS


def _passes_by_itself(task: Task[..., object], task_run: TaskRun, state: State[object]) -> bool:
    """Tell whether a task run failed for a reason that trying again may mend.

    A bad source or an unknown country stays what it is; a lost connection or a locked database
    does not.
    """
    failure = state.result(raise_on_failure=False)
    return isinstance(
        failure,
        (SourceUnavailableError, OperationalError, InterfaceError, psycopg.OperationalError),
    )


def _load_name() -> str:
    return f"load {Path(source_label(task_run.parameters['source'])).name}"


@task(
    task_run_name=_load_name,
    cache_policy=ONCE_A_RUN,
    persist_result=True,
    retries=2,
    retry_delay_seconds=[1, 5],
    retry_condition_fn=_passes_by_itself,
)
def load_table(source: str, index: int, run_key: str, database: str) -> SourceTable:
    """Load a source into a table of this run, checking every row.

    Args:
        source: Path or http(s) URL of a CSV file in the layout of `flows.sources`.
        index: Which of the run's sources this is.
        run_key: Key of the run.
        database: Name of the ``sqlalchemy-connector`` block.

    Raises:
        SourceError: The source cannot be used; says why, and on which line.
    """
    with (
        TemporaryDirectory(prefix="renewables-") as folder,
        SqlAlchemyConnector.load(database) as connector,
    ):
        start = time.monotonic()
        table = load_file(connector, fetch(source, Path(folder)), table_name(run_key, index))
        get_run_logger().info(
            "Loaded %d rows of %s from %s in %.1f s",
            table.rows,
            table.name,
            table.source,
            time.monotonic() - start,
        )
    return table


@task(
    task_run_name="select {country} from {table.name}",
    cache_policy=ONCE_A_RUN,
    persist_result=True,
    retries=2,
    retry_delay_seconds=[1, 5],
    retry_condition_fn=_passes_by_itself,
)
def select_country(table: SourceTable, country: str, database: str) -> CountrySubset:
    """Select a country's rows of a source into a table of their own.

    A country that this source does not have gives no rows; see `check_country`.

    Args:
        table: The source.
        country: The country, exactly as the source spells it.
        database: Name of the ``sqlalchemy-connector`` block.

    Raises:
        LostRowsError: The source's table was emptied since it was loaded.
    """
    with SqlAlchemyConnector.load(database) as connector:
        subset = select_rows(connector, table, country)
    get_run_logger().info("%s has %d years of %s", shown(country), len(subset.years), table.name)
    return subset


def check_country(
    country: str, subsets: Iterable[CountrySubset], database: str, tables: Sequence[SourceTable]
) -> None:
    """Check that at least one source has the country.

    Args:
        country: The country that was asked for.
        subsets: What `select_country` gave for it.
        database: Name of the ``sqlalchemy-connector`` block.
        tables: The sources, for the names to offer.

    Raises:
        UnknownCountryError: None has it.
    """
    if any(subset.years for subset in subsets):
        return
    with SqlAlchemyConnector.load(database) as connector:
        raise UnknownCountryError(unknown_country(country, known_countries(connector, tables)))

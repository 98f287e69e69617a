"""The flow ``renewable-analysis``: one country's share of hydro, solar, wind and the like."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from prefect import flow, unmapped
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from blocks.databricks import RepairPolicy, RunState
from flows.adopting import cancel_job_run
from flows.attribution import attribution
from flows.chart import plot_share
from flows.cleanup import TemporaryData, remove_temporary_data
from flows.connections import Connections
from flows.database import check_country, load_table, select_country
from flows.databricks import run_job
from flows.naming import run_key
from flows.object_storage import (
    COUNTRY_SUBSET,
    RunFolders,
    export_subset,
    has_objects,
    load_result,
)
from flows.sample import SAMPLE
from flows.sources import check_distinct


@dataclass(frozen=True)
class Analysis:
    """What a flow run gives.

    Attributes:
        country: The country, as it was asked for.
        years: Every year of the result, in order.
        chart: The picture.
        data: The numbers, as CSV.
        databricks: The Databricks run as it ended.
    """

    country: str
    years: tuple[int, ...]
    chart: Path
    data: Path
    databricks: RunState


@flow(
    name="renewable-analysis",
    flow_run_name="{country}",
    on_completion=[remove_temporary_data],
    on_cancellation=[cancel_job_run, remove_temporary_data],
)
def renewable_analysis(
    country: str,
    sources: list[str] = [],  # noqa: B006  # shown as the form's default, never changed
    repair: RepairPolicy = RepairPolicy(),  # noqa: B008  # frozen default of the form
    keep_intermediate: bool = False,
    connections: Connections = Connections(),  # noqa: B008
    output: str = "output",
) -> State[Analysis]:
    """Share of a country's electricity that came from each source, year by year.

    Loads the sources into the database, selects the country, exports its rows to object storage,
    runs the notebooks `join_data` and `transform_data` as one Databricks job, and plots what they
    made. When a notebook fails, only the failed tasks are run again.

    Args:
        country: Country or region as the sources spell it, for example Switzerland.
        sources: CSV files in the layout `Entity,Code,Year,<Source> (% electricity)`, as paths or
            http(s) URLs. Empty: the synthetic sample that comes with the project.
        repair: What to do when tasks of the Databricks job fail.
        keep_intermediate: Leave the temporary tables and objects in place, to look at them.
        connections: Names of the blocks to use.
        output: Folder for the chart and its numbers.
    """
    used = sources or [str(path) for path in SAMPLE]
    key = run_key(UUID(flow_run.id))
    folders = RunFolders(country, key)
    numbers = range(len(used))
    database = connections.database

    # A retry does not load, select and export again, unless the files have been swept meanwhile.
    bucket = connections.load_bucket()
    exported_before = has_objects(bucket, folders.key(COUNTRY_SUBSET))
    load = load_table.with_options(refresh_cache=not exported_before)
    select = select_country.with_options(refresh_cache=not exported_before)
    export = export_subset.with_options(refresh_cache=not exported_before)

    with TemporaryData(folders, connections, keep_intermediate) as temporary:
        tables = temporary.finish(load.map(used, numbers, run_key=key, database=database))
        subsets = temporary.finish(select.map(tables, country=country, database=database))
        check_distinct(tables)
        check_country(country, subsets, database, tables)
        exported = temporary.finish(
            export.map(subsets, numbers, unmapped(folders), unmapped(connections))
        )

        job = connections.load_databricks_job()
        parameters = folders.job_parameters(bucket)
        outcome = run_job(job, parameters, repair, after=exported, usable=temporary.complete)
        temporary.databricks = outcome.state

        reported = outcome.results.get("transform_data", "")
        result = load_result(exported, folders, reported, connections, wait_for=outcome.task_runs)
        files = plot_share(result, country, attribution(used), output)

    analysis = Analysis(country, tuple(result["Year"]), files.chart, files.data, outcome.state)
    if outcome.repaired:
        message = f"Run again on Databricks: {', '.join(outcome.repaired)}"
        return Completed(name="Repaired", message=message, data=analysis)
    return Completed(data=analysis)


if __name__ == "__main__":
    renewable_analysis("Switzerland")

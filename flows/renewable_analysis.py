"""The flow ``renewable-analysis``: one country's share of hydro, solar, wind and the like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

from prefect import flow, unmapped
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.annotations import quote

from blocks.databricks import RepairPolicy, RunState
from flows.adopting import cancel_job_run
from flows.attribution import attribution
from flows.chart import plot_share
from flows.cleanup import TemporaryData, all_exported, remove_temporary_data
from flows.connections import Connections
from flows.countries import Country, check_in_sample
from flows.country_report import country_report, publish_report
from flows.database import check_country, load_table, select_country
from flows.databricks import run_job
from flows.form import Text, titled
from flows.lineage import chart_asset, result_asset, source_asset, subset_asset
from flows.naming import run_key
from flows.object_storage import RunFolders, export_subset, load_result
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
    on_failure=[cancel_job_run],
    on_cancellation=[cancel_job_run, remove_temporary_data],
)
def renewable_analysis(
    country: Country,
    sources: Annotated[list[Text], titled("Sources")] = [],  # noqa: B006  # never changed
    output: Annotated[Text, titled("Output folder")] = "output",
    keep_intermediate: Annotated[bool, titled("Keep temporary data")] = False,
    repair: Annotated[RepairPolicy, titled("Repair")] = RepairPolicy(),  # noqa: B008  # frozen
    connections: Annotated[Connections, titled("Connections")] = Connections(),  # noqa: B008
) -> State[Analysis]:
    """Share of a country's electricity that came from each source, year by year.

    Loads the sources into the database, selects the country, exports its rows to object storage,
    runs the notebooks `join_data` and `transform_data` as one Databricks job, and plots what they
    made. When a notebook fails, only the failed tasks are run again.

    Args:
        country: Country or region. Choose one of the sample's, or type any name as your sources
            spell it.
        sources: CSV files in the layout `Entity,Code,Year,<Source> (% electricity)`, as http(s)
            URLs or paths on the worker's machine, one for each source of electricity. None: the
            small synthetic sample that comes with the project.
        output: Folder on the worker's machine for the chart and its numbers.
        keep_intermediate: Leave the temporary tables and files in place, to look at them.
        repair: What to do when tasks of the Databricks job fail: how often only those run again,
            after which wait, and whether to ask you when nothing helped.
        connections: Prefect blocks that hold the connection details, by their names.
    """
    if not sources:
        check_in_sample(country)
    used = sources or [str(path) for path in SAMPLE]
    key = run_key(UUID(flow_run.id))
    folders = RunFolders(country, key)
    numbers = range(len(used))
    database = connections.database

    # A retry does not load, select and export again, unless files have been removed meanwhile.
    bucket = connections.load_bucket()
    parameters = folders.job_parameters(bucket)
    exported_before = all_exported(bucket, folders, len(used))
    load = load_table.with_options(
        refresh_cache=not exported_before, asset_deps=[source_asset(source) for source in used]
    )
    select = select_country.with_options(refresh_cache=not exported_before)
    export = export_subset.with_options(
        refresh_cache=not exported_before, assets=[subset_asset(parameters["subset_path"], country)]
    )

    with TemporaryData(folders, connections, keep_intermediate) as temporary:
        tables = temporary.finish(load.map(used, numbers, run_key=key, database=database))
        subsets = temporary.finish(select.map(tables, country=country, database=database))
        check_distinct(tables)
        check_country(country, subsets, database, tables)
        exported = temporary.finish(
            export.map(subsets, numbers, unmapped(folders), unmapped(connections))
        )

        job = connections.load_databricks_job()
        outcome = run_job(
            job,
            parameters,
            repair,
            after=exported,
            usable=temporary.complete,
            follow=temporary.follow,
        )

        reported = outcome.results.get("transform_data", "")
        load_into = load_result.with_options(assets=[result_asset(connections.database_url())])
        # Quoted: in the run graph it follows the notebooks, not the exports once more.
        files_in = quote(exported)
        result = load_into(files_in, folders, reported, connections, wait_for=outcome.task_runs)
        note = attribution(used)
        plot = plot_share.with_options(assets=[chart_asset(country, output)])
        files = plot(result, country, note, output)
        price = repair.price_per_hour
        report = country_report(result, country, note, files, outcome.state, price)
        publish_report(country, report)

    analysis = Analysis(country, tuple(result["Year"]), files.chart, files.data, outcome.state)
    if outcome.repaired:
        message = f"Run again on Databricks: {', '.join(outcome.repaired)}"
        return Completed(name="Repaired", message=message, data=analysis)
    return Completed(data=analysis)


if __name__ == "__main__":
    renewable_analysis("Switzerland")

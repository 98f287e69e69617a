"""The report of a flow run in Prefect: headline, chart, numbers, Databricks run, receipt."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pandas as pd
from prefect.artifacts import create_markdown_artifact

from blocks.databricks import RunState, make_receipt
from flows.chart import ChartFiles
from flows.drawing import subject
from flows.naming import slug
from flows.result import SUM_COLUMN
from flows.sources import source_name

_YEARS = 10


def publish_report(country: str, report: str) -> None:
    """Publish a report as an artifact of the flow run; each country has a history of its own."""
    create_markdown_artifact(
        report,
        key=f"renewable-share-{slug(country)}",
        description=f"Share of electricity from renewable sources: {country}",
    )


def country_report(
    frame: pd.DataFrame,
    country: str,
    note: str,
    files: ChartFiles,
    run: RunState,
    price_per_hour: float,
) -> str:
    """Return the report as markdown.

    Args:
        frame: The result: ``Year``, one column for each source, ``SHW%``; in percent.
        country: Whose result it is.
        note: Origin and licence of the numbers.
        files: Where chart and numbers were written.
        run: The Databricks run that made them.
        price_per_hour: What an hour of the job cluster costs; 0 when not known.
    """
    latest = frame.sort_values("Year", ascending=False).head(_YEARS)
    # Inlined, because the Prefect UI cannot read the worker's disk.
    chart = base64.b64encode(files.chart.read_bytes()).decode()
    receipt = make_receipt(run, price_per_hour).as_markdown()
    return "\n".join(
        [
            f"# {headline(frame, country)}",
            "",
            f"![Chart of {country}](data:image/png;base64,{chart})",
            "",
            "## Latest years",
            "",
            "Percent of all electricity:",
            "",
            _row([source_name(column) for column in latest.columns]),
            _row(["---:"] * len(latest.columns)),
            *(_row(_cells(*values)) for values in latest.to_numpy(dtype=float)),
            "",
            f"{note}. All years: `{files.data}`. Chart: `{files.chart}`.",
            "",
            "## Databricks",
            "",
            f"[Job run {run.run_id}]({run.run_page_url})",
            "",
            receipt,
        ]
    )


def headline(frame: pd.DataFrame, country: str) -> str:
    """Return the result in one line: the total of the last year that has one.

    Args:
        frame: The result, as for `country_report`.
        country: Whose result it is.
    """
    columns = [column for column in frame.columns if column not in ("Year", SUM_COLUMN)]
    totals = frame.dropna(subset=[SUM_COLUMN]).sort_values("Year")
    if totals.empty:
        return f"{country}: no year has numbers for {subject(columns)}"
    last = totals.iloc[-1]
    return (
        f"{country}: {last[SUM_COLUMN]:.1f} % of electricity from {subject(columns)} "
        f"in {int(last['Year'])}"
    )


def _cells(year: float, *shares: float) -> list[str]:
    return [f"{year:.0f}", *("" if pd.isna(share) else f"{share:.2f}" for share in shares)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

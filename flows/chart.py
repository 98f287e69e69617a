"""The chart of a country and its numbers: written to a folder, and published in Prefect."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.drawing import draw_chart
from flows.naming import slug
from flows.sources import source_name

# Twice the size in which the chart is shown, about 800 pixels wide, so that it is sharp everywhere.
_DOTS_PER_INCH = 200
_YEARS_IN_REPORT = 10


@dataclass(frozen=True)
class ChartFiles:
    """Where a country's result is.

    Attributes:
        chart: The picture, PNG.
        data: The numbers, CSV: ``Year``, one column for each source, ``SHW%``.
    """

    chart: Path
    data: Path


@task(task_run_name="plot {country}", cache_policy=NO_CACHE)
def plot_share(frame: pd.DataFrame, country: str, note: str, output_dir: str | Path) -> ChartFiles:
    """Draw a country's result, write it to a folder, and publish it as a Prefect artifact.

    Args:
        frame: The result: ``Year``, one column for each source, ``SHW%``; in percent.
        country: Whose result it is.
        note: Origin and licence of the numbers, for the footnote.
        output_dir: The folder, made if it is missing. Older files of the country are replaced.

    Returns:
        The two files, as absolute paths.
    """
    picture = render_png(frame, country, note)
    folder = Path(output_dir).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = ChartFiles(folder / f"{slug(country)}.png", folder / f"{slug(country)}.csv")
    _write(files.chart, picture)
    _write(files.data, frame.to_csv(index=False).encode())
    create_markdown_artifact(
        report(frame, country, note, picture, files),
        key=f"renewable-share-{slug(country)}",
        description=f"Share of electricity from renewable sources: {country}",
    )
    get_run_logger().info("Chart: %s, numbers: %s", files.chart, files.data)
    return files


def render_png(frame: pd.DataFrame, country: str, note: str) -> bytes:
    """Return the chart as a PNG file, 1600 pixels wide; see `draw_chart`."""
    picture = io.BytesIO()
    draw_chart(frame, country, note).savefig(picture, format="png", dpi=_DOTS_PER_INCH)
    return picture.getvalue()


def report(frame: pd.DataFrame, country: str, note: str, picture: bytes, files: ChartFiles) -> str:
    """Return the artifact: the chart itself, the latest years as a table, and where the files are.

    Args:
        frame: The result, as for `plot_share`.
        country: Whose result it is.
        note: Origin and licence of the numbers.
        picture: The chart as PNG.
        files: Where chart and numbers were written.
    """
    latest = frame.sort_values("Year", ascending=False).head(_YEARS_IN_REPORT)
    inlined = base64.b64encode(picture).decode()
    return "\n".join(
        [
            f"# {country}",
            "",
            f"![The chart](data:image/png;base64,{inlined})",
            "",
            "Percent of electricity, latest years:",
            "",
            _row([source_name(column) for column in latest.columns]),
            _row(["---:"] * len(latest.columns)),
            *(_row(_cells(*values)) for values in latest.to_numpy(dtype=float)),
            "",
            f"All years: `{files.data}`. Chart: `{files.chart}`. {note}.",
        ]
    )


def _cells(year: float, *shares: float) -> list[str]:
    return [f"{year:.0f}", *("" if pd.isna(share) else f"{share:.2f}" for share in shares)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: readers never see half a chart."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)

"""The chart of a country and its numbers, written to a folder."""

import io
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from flows.drawing import draw_chart
from flows.naming import slug

# Twice the size in which the chart is shown, about 800 pixels wide, so that it is sharp everywhere.
_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class ChartFiles:
    """Where a country's result is.

    Attributes:
        chart: The picture, PNG.
        data: The numbers, CSV: ``Year``, one column for each source, ``SHW%``.
    """

    chart: Path
    data: Path


# A flow names the asset: with_options(assets=[chart_asset(...)]).
@materialize("file://output/chart.png", task_run_name="plot {country}", cache_policy=NO_CACHE)
def plot_share(frame: pd.DataFrame, country: str, note: str, output_dir: str | Path) -> ChartFiles:
    """Draw a country's result, and write it to a folder.

    Args:
        frame: The result: ``Year``, one column for each source, ``SHW%``; in percent.
        country: Whose result it is.
        note: Origin and licence of the numbers, for the footnote.
        output_dir: The folder, made if it is missing. Older files of the country are replaced.

    Returns:
        The two files, as absolute paths.
    """
    folder = Path(output_dir).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = ChartFiles(folder / f"{slug(country)}.png", folder / f"{slug(country)}.csv")
    _write(files.chart, render_png(frame, country, note))
    _write(files.data, frame.to_csv(index=False).encode())
    get_run_logger().info("Chart: %s, numbers: %s", files.chart, files.data)
    return files


def render_png(frame: pd.DataFrame, country: str, note: str) -> bytes:
    """Return the chart as a PNG file, 1600 pixels wide; see `draw_chart`."""
    picture = io.BytesIO()
    draw_chart(frame, country, note).savefig(picture, format="png", dpi=_DOTS_PER_INCH)
    return picture.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: readers never see half a chart."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)

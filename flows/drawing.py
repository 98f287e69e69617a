"""Draw the chart of one country: stacked shares of each source, year by year."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from flows.labels import FAINT_INK, INK, SOFT_INK, Label, Look, Values, draw_labels
from flows.result import SUM_COLUMN
from flows.sources import source_name

# Width of the bar that stands for a year between two gaps, in years.
BAR = 0.6

# Dark, medium and light, so that they differ in greyscale and for every kind of colour blindness.
# More than three cannot differ by luminance alone: the others carry a hatch as well.
_LOOKS = {"hydro": Look("#2a5a8c"), "wind": Look("#4fa39a"), "solar": Look("#f5cf5b")}
_OTHER_LOOKS = (
    Look("#b5533c", "//"),
    Look("#c9c3e6", ".."),
    Look("#7d7d85", "xx"),
    Look("#e9b7a0", "\\\\"),
    Look("#6b4c8a", "++"),
    Look("#bcd9a7", "--"),
    Look("#94623b", "oo"),
    Look("#c4c4c4", "||"),
)


@dataclass(frozen=True)
class _Layer:
    """One source as it is drawn.

    Attributes:
        name: Its name, without the unit.
        lower: Where its area begins, in percent, for each year; NaN where there is a gap.
        upper: Where its area ends.
        look: How it is filled.
    """

    name: str
    lower: Values
    upper: Values
    look: Look


def draw_chart(frame: pd.DataFrame, country: str, attribution: str) -> Figure:
    """Draw the shares of the sources as stacked areas, with their total as a line on top.

    A year that lacks a share is a gap, since what is above it cannot be placed. A source without
    any value is named, but not drawn; then there is no total. Nothing global is touched (no
    ``pyplot``), so charts can be drawn in several threads at once.

    Args:
        frame: Columns ``Year``, one for each source (``Hydro (% electricity)``) and ``SHW%``; at
            least one row, one for each year; values in percent, NaN where unknown.
        country: For the title.
        attribution: Origin and licence of the numbers, for the footnote.

    Returns:
        A figure of 8 by 4.8 inches on an Agg canvas.
    """
    data = frame.set_index("Year").astype(float).sort_index()
    data = data.reindex(range(int(data.index.min()), int(data.index.max()) + 1))
    years = data.index.to_numpy()
    shares = data.drop(columns=SUM_COLUMN)
    total = data[SUM_COLUMN].to_numpy()
    layers = _stack(shares.dropna(axis="columns", how="all"))
    drawn = ~np.isnan(layers[-1].upper) if layers else np.zeros(len(years), dtype=bool)
    runs = list(_runs(drawn))

    figure = Figure(figsize=(8, 4.8), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    title = f"{textwrap.shorten(country, 50, placeholder=' …')}, {_span(years)}"
    _write(figure, 0.96, title, 15, weight="bold")
    what = f"Share of electricity from {subject(list(shares.columns))}"
    _write(figure, 0.885, what, 10.5, color=SOFT_INK)
    notes = [f"{attribution}.", _gap_note(shares)]
    note = "\n".join(textwrap.fill(note, 155) for note in notes if note)
    _write(figure, 0.025, note, 7.5, va="bottom", color=SOFT_INK)

    axes = figure.add_axes((0.085, 0.15, 0.7, 0.64))
    _set_up_axes(axes, years, layers, runs)
    for begin, end in runs:
        _draw_run(axes, years[begin:end], layers, total, slice(begin, end))
    if runs:
        last = runs[-1][1] - 1
        end = years[last] + (BAR / 2 if runs[-1][1] - runs[-1][0] == 1 else 0)
        draw_labels(figure, axes, _labels(layers, shares, total, last), end)
    else:
        nothing = "No year has a value from every source"
        axes.text(0.5, 0.5, nothing, ha="center", color=SOFT_INK, transform=axes.transAxes)
    return figure


def _stack(shares: pd.DataFrame) -> list[_Layer]:
    """Pile the sources up, the largest at the bottom, where an area is easiest to read."""
    other_looks = cycle(_OTHER_LOOKS)
    looks = {
        column: _LOOKS.get(source_name(column).lower()) or next(other_looks)
        for column in shares.columns
    }
    complete = shares.mask(shares.isna().any(axis="columns"))
    order = complete.mean().fillna(0).sort_values(ascending=False, kind="stable").index
    lower = np.where(complete.isna().any(axis="columns"), np.nan, 0.0)
    layers = []
    for column in order:
        upper = lower + complete[column].to_numpy()
        layers.append(_Layer(source_name(column), lower, upper, looks[column]))
        lower = upper
    return layers


def _runs(known: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of each run of years without a gap."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(int), [0]])))
    for begin, end in edges.reshape(-1, 2):
        yield int(begin), int(end)


def _set_up_axes(
    axes: Axes,
    years: npt.NDArray[np.int64],
    layers: Sequence[_Layer],
    runs: Sequence[tuple[int, int]],
) -> None:
    highest = (float(np.nanmax(layers[-1].upper)) if runs else 0.0) or 1.0
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(0, highest)
    # The last tick may lie below the highest share by the noise of a float.
    top = min(max(float(ticks[-1]), highest), 100.0)
    axes.set_ylim(0, top)
    axes.set_yticks([tick for tick in ticks if 0 <= tick <= top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))

    # A year that stands alone is drawn as a bar, which needs room on both sides.
    alone = any(end - begin == 1 for begin, end in runs)
    room = (BAR / 2 if alone else 0.0) + (1 - BAR / 2 if len(years) == 1 else 0.0)
    axes.set_xlim(years[0] - room, years[-1] + room)
    if len(years) <= 10:
        axes.set_xticks(years)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda year, _: f"{year:.0f}"))

    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT_INK)
    axes.tick_params(axis="both", labelsize=9, labelcolor=SOFT_INK, color=SOFT_INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=FAINT_INK, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_run(
    axes: Axes,
    years: npt.NDArray[np.int64],
    layers: Sequence[_Layer],
    total: Values,
    run: slice,
) -> None:
    """Draw years that follow each other; a single one becomes a bar."""
    alone = len(years) == 1
    x = years[0] + np.array([-BAR / 2, BAR / 2]) if alone else years.astype(float)
    times = 2 if alone else 1
    for layer in layers:
        axes.fill_between(
            x,
            np.repeat(layer.lower[run], times),
            np.repeat(layer.upper[run], times),
            facecolor=layer.look.color,
            hatch=layer.look.hatch,
            edgecolor="white",
            linewidth=0.5,
        )
    line = np.repeat(total[run], times)
    axes.plot(x, line, color=INK, linewidth=2, solid_capstyle="butt", clip_on=False, zorder=3)


def _labels(
    layers: Sequence[_Layer], shares: pd.DataFrame, total: Values, last: int
) -> list[Label]:
    """Return the labels of the last year that is drawn, from the lowest to the highest."""
    absent = shares.columns[shares.isna().all()]
    labels = [
        Label(f"{source_name(column)}: no data", "", None, Look("white")) for column in absent
    ]
    for layer in layers:
        lower, upper = layer.lower[last], layer.upper[last]
        labels.append(Label(layer.name, _percent(upper - lower), (lower + upper) / 2, layer.look))
    year, sum_ = shares.index[last], total[last]
    if np.isnan(sum_) or len(layers) == 1:
        labels.append(Label(f"In {year}", "", layers[-1].upper[last]))
    else:
        labels.append(Label(f"Total in {year}:", _percent(sum_), sum_))
    return labels


def _percent(share: float) -> str:
    if 0 < share < 0.05:
        return "<0.1 %"
    return f"{share:.1f} %" if share else "0 %"


def _span(years: npt.NDArray[np.int64]) -> str:
    first, last = years[0], years[-1]
    return f"{first}–{last}" if last > first else f"{first}"  # noqa: RUF001 (a range of years)


def subject(columns: Sequence[str]) -> str:
    """Return what the shares are of, for a headline: the sources, or their number if many."""
    listed = _listing(columns)
    return listed if len(listed) < 70 else f"{len(columns)} sources"


def _gap_note(shares: pd.DataFrame) -> str:
    """Return what a reader must know about sources and years that are not drawn."""
    absent = shares.isna().all()
    missing = shares.loc[:, ~absent].isna()
    gaps = missing[missing.any(axis="columns")]
    notes = []
    if absent.any():
        notes.append(f"No total: no data for {_listing(shares.columns[absent])}.")
    if len(gaps) > 3:
        notes.append(f"{len(gaps)} years are left out, for want of data.")
    else:
        for year, lacks in gaps.iterrows():
            notes.append(f"{year} is left out: no data for {_listing(gaps.columns[lacks])}.")
    return " ".join(notes)


def _listing(columns: Iterable[str]) -> str:
    """Return the names of sources as they stand within a sentence."""
    names = [source_name(column) for column in columns]
    # Abbreviations keep their capitals.
    *most, final = [n[:1].lower() + n[1:] if n[1:].islower() else n for n in names]
    return f"{', '.join(most)} and {final}" if most else final


def _write(
    figure: Figure,
    y: float,
    text: str,
    size: float,
    va: str = "top",
    color: str = INK,
    weight: str = "normal",
) -> None:
    figure.text(0.02, y, text, va=va, size=size, color=color, weight=weight, parse_math=False)

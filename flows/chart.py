"""The chart of one country: how much of its electricity came from each source, year by year."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from flows.sources import source_name

TOTAL = "SHW%"

Values = npt.NDArray[np.float64]

_INK, _SOFT_INK, _GRID = "#1d1d1f", "#5b5b60", "#dcdce1"
_SIZE = (8.0, 4.8)  # inches
_LEFT, _BOTTOM, _TOP = 0.075, 0.15, 0.8  # of the axes, as fractions of the figure


@dataclass(frozen=True)
class _Look:
    """The fill of an area."""

    color: str
    hatch: str = ""


# Dark, medium and light, so that they differ in greyscale and for every kind of colour blindness.
# More than three cannot differ by luminance alone: the others carry a hatch as well.
_LOOKS = {"hydro": _Look("#1f4e79"), "wind": _Look("#4fa39a"), "solar": _Look("#f5cf5b")}
_OTHER_LOOKS = (
    _Look("#b5533c", "//"),
    _Look("#c9c3e6", ".."),
    _Look("#7d7d85", "xx"),
    _Look("#e9b7a0", "\\\\"),
    _Look("#6b4c8a", "++"),
    _Look("#bcd9a7", "--"),
    _Look("#94623b", "oo"),
    _Look("#d7d7d7", "||"),
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
    look: _Look


@dataclass(frozen=True)
class _Label:
    """A line beside the chart that names a layer, or the total."""

    text: str
    at: float
    look: _Look | None


def draw_chart(frame: pd.DataFrame, country: str, attribution: str) -> Figure:
    """Draw the shares of the sources as stacked areas, with their total as a line on top.

    A year in which a share is missing is a gap, since it has no total. Nothing global is touched
    (no ``pyplot``), so charts can be drawn in several threads at once.

    Args:
        frame: Columns ``Year``, one for each source (``Hydro (% electricity)``) and ``SHW%``; one
            row for each year; values in percent, NaN where unknown.
        country: For the title.
        attribution: Origin and licence of the numbers, for the footnote.

    Returns:
        A figure of 8 by 4.8 inches on an Agg canvas.
    """
    data = frame.set_index("Year").sort_index().astype(float)
    data = data.reindex(range(int(data.index.min()), int(data.index.max()) + 1))
    shares = data.drop(columns=TOTAL)
    years = data.index.to_numpy()
    layers = _stack(shares)

    figure = Figure(figsize=_SIZE, facecolor="white")
    FigureCanvasAgg(figure)
    _write(figure, 0.955, _shorten(country, 60), size=15, weight="bold")
    _write(figure, 0.885, _subtitle(list(shares.columns), years), size=10.5, color=_SOFT_INK)
    note = textwrap.fill(f"{attribution}. {_gap_note(shares)}", 135)
    _write(figure, 0.025, note, va="bottom", size=7.5, color=_SOFT_INK)

    axes = figure.add_axes((_LEFT, _BOTTOM, 0.7, _TOP - _BOTTOM))
    _set_up_axes(axes, years, layers)
    for begin, end in _runs(~np.isnan(layers[-1].upper)):
        _draw_run(axes, years[begin:end], layers, slice(begin, end))
    _draw_labels(figure, axes, years, layers)
    return figure


def spread(centres: Sequence[float], heights: Sequence[float], low: float, high: float) -> Values:
    """Move labels as little as possible so that none covers another and all lie within bounds.

    This is isotonic regression (pool adjacent violators) on the centres less the room that the
    labels below need; with it, a crowd of labels is centred on the places that it belongs to.

    Args:
        centres: Where each label would like to be, from the lowest to the highest.
        heights: The room that each needs.
        low: Lower bound of all labels.
        high: Upper bound; when there is not room enough, the labels go over it.

    Returns:
        The new centres, in the same order.
    """
    tall = np.asarray(heights, dtype=float)
    offsets = np.cumsum(tall) - tall / 2
    pools: list[tuple[float, int]] = []  # mean and number of the labels that moved together
    for wish in np.asarray(centres, dtype=float) - offsets:
        mean, size = float(wish), 1
        while pools and pools[-1][0] > mean:
            below, count = pools.pop()
            mean, size = (below * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    settled = np.repeat([mean for mean, _ in pools], [size for _, size in pools])
    return np.clip(settled, low, max(low, high - float(tall.sum()))) + offsets


def _stack(shares: pd.DataFrame) -> list[_Layer]:
    """Pile the sources up, the largest at the bottom, where an area is easiest to read."""
    sizes = shares.mean().fillna(0)
    order = sorted(shares.columns, key=lambda column: -sizes[column])
    uppers = shares[order].to_numpy().cumsum(axis=1)  # a NaN in a year makes its total NaN
    uppers[np.isnan(uppers[:, -1])] = np.nan
    others = iter(_OTHER_LOOKS * (1 + len(order) // len(_OTHER_LOOKS)))
    looks = {
        column: _LOOKS.get(source_name(column).lower()) or next(others) for column in shares.columns
    }
    lower = np.where(np.isnan(uppers[:, -1]), np.nan, 0.0)
    layers = []
    for column, upper in zip(order, uppers.T, strict=True):
        layers.append(_Layer(source_name(column), lower, upper, looks[column]))
        lower = upper
    return layers


def _runs(known: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of each run of years without a gap."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    for begin, end in edges.reshape(-1, 2):
        yield int(begin), int(end)


def _set_up_axes(axes: Axes, years: npt.NDArray[np.int64], layers: Sequence[_Layer]) -> None:
    highest = float(np.nan_to_num(layers[-1].upper).max()) or 1.0
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(0, highest * 1.02)
    top = 100.0 if highest > 80 else float(ticks[-1])
    axes.set_ylim(0, top)
    axes.set_yticks([tick for tick in ticks if tick <= top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))
    axes.set_ylabel("Share of electricity", size=9, color=_SOFT_INK)

    alone = 0.6 if len(years) < 3 else 0.0  # room for years that are drawn as bars
    axes.set_xlim(years[0] - alone, years[-1] + alone)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda year, _: f"{year:.0f}"))

    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_SOFT_INK)
    axes.tick_params(axis="both", labelsize=9, labelcolor=_SOFT_INK, color=_SOFT_INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_run(
    axes: Axes, years: npt.NDArray[np.int64], layers: Sequence[_Layer], run: slice
) -> None:
    """Draw years that follow each other; one that stands alone becomes a bar."""
    alone = len(years) == 1
    x = years[0] + np.array([-0.3, 0.3]) if alone else years.astype(float)

    def drawn(values: Values) -> Values:
        return np.repeat(values[run], 2) if alone else values[run]

    for layer in layers:
        axes.fill_between(
            x,
            drawn(layer.lower),
            drawn(layer.upper),
            facecolor=layer.look.color,
            hatch=layer.look.hatch,
            edgecolor="white",
            linewidth=0.6,
        )
    axes.plot(
        x, drawn(layers[-1].upper), color=_INK, linewidth=2, solid_capstyle="butt", clip_on=False
    )


def _draw_labels(
    figure: Figure, axes: Axes, years: npt.NDArray[np.int64], layers: Sequence[_Layer]
) -> None:
    """Name the layers at the right edge, beside their last values."""
    known = np.flatnonzero(~np.isnan(layers[-1].upper))
    last = known[-1] if len(known) else None
    labels = [
        _Label(
            "\n".join(textwrap.wrap(layer.name, 24, max_lines=2, placeholder=" …"))
            + (f" {_percent(layer.upper[last] - layer.lower[last])}" if last is not None else ""),
            (layer.lower[last] + layer.upper[last]) / 2 if last is not None else 0.0,
            layer.look,
        )
        for layer in layers
    ]
    if last is not None:
        total = layers[-1].upper[last]
        labels.append(_Label(f"Total in {years[last]}: {_percent(total)}", total, None))
    texts = [
        figure.text(0, 0, label.text, size=9.5, va="center", color=_INK, parse_math=False,
                    weight="normal" if label.look else "bold")
        for label in labels
    ]
    _place(figure, axes, labels, texts)

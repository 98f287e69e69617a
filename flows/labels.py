"""Labels beside a chart, in place of a legend: each next to what it names, none over another."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

Values = npt.NDArray[np.float64]

INK, SOFT_INK, FAINT_INK = "#1d1d1f", "#5b5b60", "#dcdce1"

# All in pixels, at the 100 dots per inch in which figures are laid out.
_LEADER, _SWATCH, _GAP, _MARGIN = 22, 11, 6, 14


@dataclass(frozen=True)
class Look:
    """How an area is filled."""

    color: str
    hatch: str = ""


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes:
        name: What it names; a long name is wrapped, then cut.
        value: Stands after the name, never cut.
        at: Where on the y axis it belongs; None puts it below all others, without a line to it.
        look: Fill of its swatch; None for a label without one, in bold.
    """

    name: str
    value: str
    at: float | None
    look: Look | None = None


def draw_labels(figure: Figure, axes: Axes, labels: Sequence[Label], end: float) -> None:
    """Write labels to the right of the axes, which are made narrower for them.

    Args:
        figure: The figure, as large as it will be saved.
        axes: Its axes, with their final limits and height.
        labels: From the lowest to the highest.
        end: Where on the x axis the labelled values lie.
    """
    width, height = figure.bbox.width, figure.bbox.height
    texts = [
        figure.text(
            0,
            0,
            _text(label),
            size=9.5,
            weight="normal" if label.look else "bold",
            color=INK,
            va="center",
            linespacing=1.1,
            parse_math=False,
        )
        for label in labels
    ]
    extents = [text.get_window_extent() for text in texts]

    taken = _LEADER + _SWATCH + _GAP + max(extent.width for extent in extents) + _MARGIN
    box = axes.get_position()
    axes.set_position((box.x0, box.y0, 1 - box.x0 - taken / width, box.height))

    ends = [axes.transData.transform((end, label.at or 0.0)) for label in labels]
    centres = spread(
        [y for _, y in ends],
        [extent.height + 4 for extent in extents],
        low=box.y0 * height - 8,
        high=(box.y1 + 0.06) * height,
    )
    left = width - taken + _LEADER
    for label, text, (x, y), centre in zip(labels, texts, ends, centres, strict=True):
        indent = _SWATCH + _GAP if label.look else 0
        text.set_position(((left + indent) / width, centre / height))
        if label.look:
            figure.add_artist(_swatch(label.look, left / width, centre / height, width, height))
        if label.at is not None:
            leader_x = np.array([x + 4, width - taken + 4, left - 5]) / width
            leader_y = np.array([y, y, centre]) / height
            figure.add_artist(Line2D(leader_x, leader_y, color="#9a9aa2", linewidth=0.8))


def spread(centres: Sequence[float], heights: Sequence[float], low: float, high: float) -> Values:
    """Move labels as little as possible so that none covers another and all lie within bounds.

    This is isotonic regression (pool adjacent violators) on the centres less the room that the
    labels below need: a crowd of labels ends up around the places that they belong to.

    Args:
        centres: Where each label would like to be, in the order from the lowest to the highest.
        heights: The room that each needs.
        low: Lower bound of all labels.
        high: Upper bound; when there is not room enough, labels go over it.

    Returns:
        The new centres, in the same order.
    """
    tall = np.asarray(heights, dtype=float)
    offsets = np.cumsum(tall) - tall / 2
    pools: list[tuple[float, int]] = []  # mean place and number of labels that move as one
    for wish in np.asarray(centres, dtype=float) - offsets:
        mean, size = float(wish), 1
        while pools and pools[-1][0] > mean:
            below, count = pools.pop()
            mean, size = (below * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    settled: Values = np.repeat([mean for mean, _ in pools], [size for _, size in pools])
    highest = max(low, high - float(tall.sum()))
    moved: Values = np.clip(settled, low, highest) + offsets
    return moved


def _text(label: Label) -> str:
    name = "\n".join(textwrap.wrap(label.name, 22, max_lines=2, placeholder=" …"))
    return f"{name} {label.value}".strip()


def _swatch(look: Look, left: float, centre: float, width: float, height: float) -> Rectangle:
    return Rectangle(
        (left, centre - _SWATCH / 2 / height),
        _SWATCH / width,
        _SWATCH / height,
        facecolor=look.color,
        hatch=look.hatch * 2,  # denser than in the chart, to show in so small a place
        edgecolor="white",
        linewidth=0,
    )

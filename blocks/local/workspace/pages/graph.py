"""The picture of a run's tasks: boxes in columns, left to right along their dependencies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BOX_WIDTH = 190
BOX_HEIGHT = 52
_GAP_X = 56
_GAP_Y = 18
_MARGIN = 4


@dataclass(frozen=True)
class Box:
    """A task in the picture; ``x`` and ``y`` are its upper left corner in pixels."""

    key: str
    x: int
    y: int


@dataclass(frozen=True)
class Graph:
    """The picture.

    Attributes:
        boxes: One for each task.
        paths: SVG path data of the arrows.
        width: In pixels.
        height: In pixels.
    """

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    width: int
    height: int


def layout(depends_on: Mapping[str, Sequence[str]]) -> Graph:
    """Place tasks so that each stands to the right of everything that it depends on.

    Args:
        depends_on: Direct dependencies of each task; keys that are not tasks are left out.
    """
    columns: dict[int, list[str]] = {}
    for key, column in _columns(depends_on).items():
        columns.setdefault(column, []).append(key)
    boxes = {
        key: Box(
            key,
            _MARGIN + column * (BOX_WIDTH + _GAP_X),
            _MARGIN + row * (BOX_HEIGHT + _GAP_Y),
        )
        for column, keys in columns.items()
        for row, key in enumerate(keys)
    }
    paths = [
        _arrow(boxes[upstream], boxes[key])
        for key, upstreams in depends_on.items()
        for upstream in upstreams
        if upstream in boxes
    ]
    return Graph(
        tuple(boxes.values()),
        tuple(paths),
        max((box.x + BOX_WIDTH for box in boxes.values()), default=0) + _MARGIN,
        max((box.y + BOX_HEIGHT for box in boxes.values()), default=0) + _MARGIN,
    )


def _columns(depends_on: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the length of the longest way to each task; the graph has no cycles."""
    columns: dict[str, int] = {}
    waiting = list(depends_on)
    while waiting:
        for key in list(waiting):
            upstream = [other for other in depends_on[key] if other in depends_on]
            if all(other in columns for other in upstream):
                columns[key] = max((columns[other] + 1 for other in upstream), default=0)
                waiting.remove(key)
    return columns


def _arrow(start: Box, end: Box) -> str:
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x - 6, end.y + BOX_HEIGHT // 2
    bend = _GAP_X // 2
    return f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"

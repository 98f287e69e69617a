"""How a job differs from what it was when a run of it started. Pure.

``runs/repair`` takes the job's current settings, not those of the run: who edits a job between a
failure and its repair gets half a run of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blocks.databricks.merging import entry_key


def differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Tell how two settings differ, one short line for each leaf.

    Args:
        before: JSON values, such as the ``settings`` of ``jobs/get``.
        after: JSON values.
        path: Where in the settings the two are.

    Yields:
        Lines such as ``tasks[load].notebook_task.notebook_path: '/a' is now '/b'``. The order of
        entries that have a key is no difference.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), below)
    elif isinstance(before, list) and isinstance(after, list):
        key = entry_key([*before, *after])
        then, now = (_by_name(items, key) for items in (before, after))
        for name in dict.fromkeys([*then, *now]):
            yield from differences(then.get(name), now.get(name), f"{path}[{name}]")
    elif before != after:
        yield f"{path}: {_shown(before)} is now {_shown(after)}"


def _by_name(items: list[Any], key: str | None) -> dict[str | int, Any]:
    """Name the entries of a list by their key, or else by their position."""
    return {item[key]: item for item in items} if key else dict(enumerate(items))


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)

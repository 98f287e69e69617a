"""How a job differs from what it was when a run of it started. Pure.

``runs/repair`` takes the job's current settings, not those of the run: who edits a job between a
failure and its repair gets half a run of each.
"""

from __future__ import annotations

from collections.abc import Iterator


def differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Tell how two settings differ, one short line for each leaf.

    Args:
        before: JSON values, such as the ``settings`` of ``jobs/get``.
        after: JSON values.
        path: Where in the settings the two are.

    Yields:
        Lines such as ``tasks[0].notebook_task.notebook_path: '/a' is now '/b'``.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), below)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            then, now = (items[index] if index < len(items) else None for items in (before, after))
            yield from differences(then, now, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {_shown(before)} is now {_shown(after)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)

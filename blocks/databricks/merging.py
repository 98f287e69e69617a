"""Settings that a user adds to those which a block makes: merged deeply, never against them. Pure.

Objects are merged. Lists whose entries have a key are merged entry by entry, and have the entries
that the block makes, no others. Other lists are joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_KEYS = ("task_key", "job_cluster_key", "environment_key", "name")


def entry_key(entries: Sequence[Any]) -> str | None:
    """Return the field that names the entries of a list, None if there is none.

    The Jobs API names tasks, job clusters, environments and parameters in this way.
    """
    for key in _KEYS:
        if entries and all(
            isinstance(entry, Mapping) and isinstance(entry.get(key), str) for entry in entries
        ):
            return key
    return None


def merge(
    made: Mapping[str, Any], added: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], list[str]]:
    """Add settings to others.

    Args:
        made: JSON object that the block makes of its own fields.
        added: JSON object of the user.
        where: What to call ``added`` in a sentence.

    Returns:
        The merged object, and a clause for each value of ``added`` that cannot be part of it: one
        that says something else than ``made``. No clause holds a value, which may be a secret.
    """
    merged = dict(made)
    problems: list[str] = []
    for name, value in added.items():
        if name not in made:
            merged[name] = value
            continue
        merged[name], more = _joined(made[name], value, f"{where}.{name}")
        problems += more
    return merged, problems


def _joined(made: object, added: object, where: str) -> tuple[object, list[str]]:
    if isinstance(made, Mapping) and isinstance(added, Mapping):
        return merge(made, added, where)
    if isinstance(made, list) and isinstance(added, list):
        if key := entry_key(made or added):
            return _joined_by_key(made, added, key, where)
        return [*made, *(entry for entry in added if entry not in made)], []
    if made == added:
        return made, []
    return made, [f"{where} says something else than the fields of the block"]


def _joined_by_key(
    made: list[Any], added: list[Any], key: str, where: str
) -> tuple[list[Any], list[str]]:
    merged = list(made)
    places = {entry[key]: place for place, entry in enumerate(made)}
    problems = []
    for entry in added:
        name = entry.get(key) if isinstance(entry, Mapping) else None
        if not isinstance(name, str):
            problems.append(f"an entry of {where} has no {key}")
        elif name not in places:
            problems.append(f"{where} has {name!r}, which the fields of the block do not have")
        else:
            place = places[name]
            merged[place], more = merge(merged[place], entry, f"{where}[{name}]")
            problems += more
    return merged, problems

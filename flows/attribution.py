"""Who made the numbers, and what may be done with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from flows.sample import SAMPLE

_SYNTHETIC = {path.name for path in SAMPLE}
# The names under which Our World in Data serves these tables, for instance
# https://ourworldindata.org/grapher/share-electricity-hydro.csv, all of them under CC BY 4.0.
_OUR_WORLD_IN_DATA = re.compile(r"share-electricity-.+\.csv")


def attribution(sources: Iterable[str]) -> str:
    """Return the footnote that names the origin and the licence of source files.

    Args:
        sources: Paths or http(s) URLs; only the names of the files count.
    """
    ours, theirs, others = [], [], []
    for name in map(_file_name, sources):
        if name in _SYNTHETIC:
            ours.append(name)
        elif _OUR_WORLD_IN_DATA.fullmatch(name):
            theirs.append(name)
        else:
            others.append(name)
    notes = []
    if ours:
        notes.append("Synthetic sample data, not real measurements")
    if theirs:
        notes.append(f"Data: Our World in Data, CC BY 4.0 ({', '.join(theirs)})")
    if others:
        notes.append(f"Data: {', '.join(others)}; licence: see the source")
    return ". ".join(notes)


def _file_name(source: str) -> str:
    """Return the last part of a path or of an http(s) URL."""
    if source.startswith(("http://", "https://")):
        return unquote(urlsplit(source).path).rstrip("/").rpartition("/")[2]
    return PurePath(source).name

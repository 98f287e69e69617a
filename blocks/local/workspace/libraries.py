"""Which libraries a cluster has, and which cannot come together. Nothing is installed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

_PINNED = re.compile(r"\s*([A-Za-z0-9][\w.\-]*)\s*(?:\[[^\]]*\])?\s*==\s*([\w.!+\-]+)\s*")
_WHEEL = re.compile(r"(?:.*/)?([A-Za-z0-9][\w.]*)-([\w.!+]+)(?:-[^/]*)?\.whl")


class LibraryConflictError(Exception):
    """Two versions of one library are wanted on one cluster.

    Attributes:
        library: The one that cannot be installed.
        installed: The one that is there.
    """

    def __init__(self, library: str, installed: str) -> None:
        super().__init__(f"{library} conflicts with {installed}")
        self.library = library
        self.installed = installed


class Libraries:
    """The libraries of one cluster, as recorded from the tasks that ran on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}

    def add(self, libraries: Iterable[Mapping[str, Any]]) -> None:
        """Record the libraries of a task; those without an exact version never conflict.

        Args:
            libraries: As in the settings of the task (``{"pypi": {"package": "a==1"}}`` …).

        Raises:
            LibraryConflictError: The cluster has another version of one of them.
        """
        with self._lock:
            for library in libraries:
                if (pin := pinned(library)) is None:
                    continue
                name, version = pin
                known = self._versions.setdefault(name, version)
                if known != version:
                    raise LibraryConflictError(f"{name}=={version}", f"{name}=={known}")


def pinned(library: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the normalised name and the version of a library, if it names an exact one.

    Names are normalised as Python packages are
    (https://packaging.python.org/en/latest/specifications/name-normalization/).
    """
    match library:
        case {"pypi": {"package": str(package)}} if found := _PINNED.fullmatch(package):
            pass
        case {"whl": str(path)} if found := _WHEEL.fullmatch(path):
            pass
        case {"maven": {"coordinates": str(coordinates)}} if coordinates.count(":") >= 2:
            name, _, version = coordinates.rpartition(":")
            return name, version
        case _:
            return None
    return re.sub(r"[-_.]+", "-", found[1]).lower(), found[2]

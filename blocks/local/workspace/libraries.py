"""Which libraries a cluster is asked for, and which cannot come together. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blocks.local.workspace.specs import ComputeKind, TaskSpec

_PINNED = re.compile(r"\s*([A-Za-z0-9][\w.\-]*)\s*(?:\[[^\]]*\])?\s*==\s*([\w.!+\-]+)\s*")
_WHEEL = re.compile(r"(?:.*/)?([A-Za-z0-9][\w.]*)-([\w.!+]+)(?:-[^/]*)?\.whl")
_REQUIREMENTS = re.compile(r"\s*(?:-r|--requirement)[\s=]+(\S+)\s*")


class LibraryError(Exception):
    """A library cannot be installed.

    Attributes:
        library: Which one.
        reason: Why, as a sentence.
    """

    def __init__(self, library: str, reason: str) -> None:
        super().__init__(f"{library}: {reason}")
        self.library = library
        self.reason = reason


@dataclass(frozen=True)
class Library:
    """A library that a task asks for.

    Attributes:
        kind: Its field in the settings: ``pypi``, ``whl``, ``requirements``, ``maven`` …; ``pip``
            for an option of an environment's list (``--index-url …``).
        name: What to install: a requirement, a path, coordinates.
        index: Of a ``pypi`` library: the package index, if not the default one.
    """

    kind: str
    name: str
    index: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def pin(self) -> tuple[str, str] | None:
        """The normalised name and the version, if it names an exact one.

        Names are normalised as Python packages are
        (https://packaging.python.org/en/latest/specifications/name-normalization/).
        """
        match self.kind:
            case "pypi" if found := _PINNED.fullmatch(self.name):
                pass
            case "whl" if found := _WHEEL.fullmatch(self.name):
                pass
            case "maven" if self.name.count(":") >= 2:
                name, _, version = self.name.rpartition(":")
                return name, version
            case _:
                return None
        return re.sub(r"[-_.]+", "-", found[1]).lower(), found[2]


def libraries_of(job_settings: Mapping[str, Any], task: TaskSpec) -> tuple[Library, ...]:
    """Return the libraries that a task asks its compute for.

    Args:
        job_settings: Have the dependencies of serverless environments.
        task: Has its own ``libraries``.
    """
    own = tuple(library_of(item) for item in task.settings.get("libraries", ()))
    if task.compute.kind is not ComputeKind.SERVERLESS:
        return own
    for item in job_settings.get("environments", ()):
        if item["environment_key"] == task.compute.name:
            lines = item.get("spec", {}).get("dependencies", ())
            return (*own, *(_dependency(str(line)) for line in lines))
    return own


def library_of(item: Mapping[str, Any]) -> Library:
    """Return an entry of ``libraries``."""
    match item:
        case {"pypi": {"package": package, **more}}:
            return Library("pypi", str(package), str(more.get("repo", "")))
        case {"maven": {"coordinates": coordinates}}:
            return Library("maven", str(coordinates))
        case {"cran": {"package": package}}:
            return Library("cran", str(package))
    kind, name = next(iter(item.items()), ("library", ""))
    return Library(kind, str(name))


def _dependency(line: str) -> Library:
    """Return a line of ``spec.dependencies``, which are written as in a requirements file."""
    if found := _REQUIREMENTS.fullmatch(line):
        return Library("requirements", found[1])
    if line.lstrip().startswith("-"):
        return Library("pip", line.strip())
    return Library("whl" if line.strip().endswith(".whl") else "pypi", line.strip())


def with_pins(versions: Mapping[str, str], libraries: Iterable[Library]) -> dict[str, str]:
    """Return the versions by name of what a cluster has once it has some libraries, too.

    Those without an exact version never conflict.

    Raises:
        LibraryError: Two versions of one library would come together.
    """
    known = dict(versions)
    for library in libraries:
        if library.pin is None:
            continue
        name, version = library.pin
        if known.setdefault(name, version) != version:
            raise LibraryError(
                f"{name}=={version}", f"{name}=={known[name]} is installed on the cluster already."
            )
    return known

"""Python packages of a job's notebooks: how they reach the compute, and what cannot be. All pure.

Whatever one task asks for is installed where it runs, for every task there: libraries belong to a
cluster, dependencies to an environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from blocks.databricks.compute import Compute, ComputeKind, compute_of, used
from blocks.databricks.spec import JobSpec, NotebookTask

_WHEEL = ".whl"
_REQUIREMENTS_FILE = ".txt"


@dataclass(frozen=True)
class Package:
    """A package that is asked for. Two are equal when they ask for the same.

    Attributes:
        text: As it was written.
        name: Normalised name (https://packaging.python.org/en/latest/specifications/
            name-normalization/); empty for a requirements file.
        asked: The requirement, or the path or URI of a file.
    """

    text: str = field(compare=False)
    name: str
    asked: Requirement | str

    def __str__(self) -> str:
        """Return it as it was written."""
        return self.text

    @property
    def library(self) -> dict[str, Any]:
        """It as an entry of ``libraries``."""
        if isinstance(self.asked, Requirement):
            return {"pypi": {"package": self.text}}
        return {"whl" if self.name else "requirements": self.text}

    @property
    def dependency(self) -> str:
        """It as a line of an environment's ``dependencies``, which are those of pip."""
        return self.text if self.name else f"-r {self.text}"


def parse_package(text: str) -> Package:
    """Read a requirement, or a path or URI of a wheel or of a requirements file.

    Raises:
        ValueError: It is none of these; the text says why.
    """
    text = text.strip()
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    is_file = text.endswith((_WHEEL, _REQUIREMENTS_FILE))
    if requirement and (requirement.url or not is_file):
        return Package(text, canonicalize_name(requirement.name), requirement)
    if not is_file:
        raise ValueError(
            f"package {text!r} is no requirement such as 'pandas==2.3.3', and no wheel (.whl) or "
            "requirements file (.txt)"
        )
    if not (text.startswith("/") or ":/" in text):
        raise ValueError(
            f"package {text!r} must be an absolute path or a URI that the workspace can read"
        )
    if text.endswith(_REQUIREMENTS_FILE):
        return Package(text, "", text)
    try:
        name = parse_wheel_filename(text.rpartition("/")[2])[0]
    except InvalidWheelFilename as error:
        raise ValueError(f"package {text!r} is not named as wheels are") from error
    return Package(text, name, text)


def libraries(spec: JobSpec, task: NotebookTask) -> list[dict[str, Any]]:
    """Return the ``libraries`` of a task on a cluster: the job's packages and its own."""
    return [package.library for package in _readable([*spec.packages, *task.packages])]


def dependencies(spec: JobSpec, environment_key: str) -> list[str]:
    """Return the ``dependencies`` of an environment: its own, the job's and its tasks'."""
    added = (package.dependency for package in _added(spec, environment_key))
    return [*_own_dependencies(spec, environment_key), *added]


def package_problems(spec: JobSpec) -> Iterator[str]:
    """Tell which packages cannot be installed together, one clause for each problem."""
    yield from _unreadable(spec)
    for_all = _readable(spec.packages)
    yield from _repeated("the job", for_all)
    for task in spec.tasks:
        own = _readable(task.packages)
        yield from _repeated(f"task {task.task_key!r}", own)
        for package, other in _same_names(own, for_all):
            if package == other:
                yield f"task {task.task_key!r} asks for {package}, which all tasks have already"
            else:
                yield f"task {task.task_key!r} asks for {package}, but the job for {other}"
    yield from _conflicts_of_tasks(spec)
    yield from _environment_problems(spec)


def _unreadable(spec: JobSpec) -> Iterator[str]:
    for text in dict.fromkeys([*spec.packages, *(p for t in spec.tasks for p in t.packages)]):
        try:
            parse_package(text)
        except ValueError as error:
            yield str(error)


def _readable(texts: Iterable[str]) -> list[Package]:
    packages = []
    for text in texts:
        try:
            packages.append(parse_package(text))
        except ValueError:
            # Reported on its own; see _unreadable.
            continue
    return packages


def _repeated(who: str, packages: list[Package]) -> Iterator[str]:
    by_name = sorted(packages, key=lambda each: each.name or each.text)
    for name, group in groupby(by_name, key=lambda each: each.name or each.text):
        if len(same := list(group)) > 1:
            yield f"{who} asks for package {name!r} more than once ({', '.join(map(str, same))})"


def _same_names(
    packages: Iterable[Package], others: Iterable[Package]
) -> Iterator[tuple[Package, Package]]:
    known = {each.name or each.text: each for each in others}
    for package in packages:
        if other := known.get(package.name or package.text):
            yield package, other


def _conflicts_of_tasks(spec: JobSpec) -> Iterator[str]:
    asked: dict[tuple[Compute, str], dict[Package, str]] = {}
    for task in spec.tasks:
        for package in _readable(task.packages):
            if package.name:
                by_task = asked.setdefault((compute_of(spec, task), package.name), {})
                by_task.setdefault(package, task.task_key)
    for (compute, _), by_task in asked.items():
        for (one, its_task), (other, other_task) in pairwise(by_task.items()):
            if its_task != other_task:
                yield (
                    f"tasks {its_task!r} and {other_task!r} share {compute}, but ask for {one} "
                    f"and {other}"
                )


def _environment_problems(spec: JobSpec) -> Iterator[str]:
    for task in spec.tasks:
        compute = compute_of(spec, task)
        serverless = compute.kind is ComputeKind.SERVERLESS
        if serverless and not compute.name and (task.packages or spec.packages):
            yield (
                f"task {task.task_key!r} runs on serverless compute without an environment, which "
                "its packages need; add one to environments"
            )
    for key in used(spec, ComputeKind.SERVERLESS):
        own = _readable(_own_dependencies(spec, key))
        for package, other in _same_names(_added(spec, key), own):
            yield f"environment {key!r} depends on {other}, and its tasks ask for {package}"


def _own_dependencies(spec: JobSpec, environment_key: str) -> list[str]:
    return spec.environments.get(environment_key, {}).get("dependencies") or []


def _added(spec: JobSpec, environment_key: str) -> list[Package]:
    """Return what packages bring into an environment, each once."""
    here = Compute(ComputeKind.SERVERLESS, environment_key)
    of_tasks = (text for t in spec.tasks if compute_of(spec, t) == here for text in t.packages)
    return list(dict.fromkeys(_readable([*spec.packages, *of_tasks])))

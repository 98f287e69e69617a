"""What Databricks would refuse in a job's definition, found without asking it. All pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

from blocks.databricks.compute import compute_problems
from blocks.databricks.packages import package_problems
from blocks.databricks.settings import SPEC_TAG, extra_settings_problems
from blocks.databricks.spec import JobSpec, NotebookTask

# Limits of the Jobs API.
_KEY = re.compile(r"[\w\-]{1,100}", re.ASCII)
_PARAMETER_NAME = re.compile(r"[\w\-.]+", re.ASCII)
# What Python makes of bytes that are no text, in a file name for example. JSON cannot say it.
_NO_TEXT = re.compile("[\ud800-\udfff]")
_JOB_PARAMETER_BYTES = 10_000
_TASK_PARAMETER_BYTES = 1_000_000
_TOKEN_CHARACTERS = 64
_TAGS = 25


def problems(spec: JobSpec, parameters: Mapping[str, str], token: str) -> list[str]:
    """Tell all that keeps Databricks from running a job with these parameters.

    Rules: the Jobs API's own for keys (1 to 100 word characters or dashes, unique), dependencies
    (known keys, no cycle), compute (one kind a task, declared), the names and the size of
    parameters, git sources, permissions, and tokens; and packages that exclude each other.

    Args:
        spec: The job's definition.
        parameters: Job parameters as a run is to get them: defaults and what overrides them.
        token: Idempotency token of the run.

    Returns:
        A clause for each problem; empty when there is none.
    """
    return [
        *_task_problems(spec.tasks),
        *_key_problems(spec),
        *_parameter_problems(spec.tasks, parameters),
        *compute_problems(spec),
        *package_problems(spec),
        *_git_problems(spec),
        *_people_problems(spec),
        *extra_settings_problems(spec),
        *_token_problems(token),
    ]


def overridden_parameters(
    tasks: Sequence[NotebookTask], parameters: Mapping[str, str]
) -> tuple[str, ...]:
    """Tell which parameters of tasks have no effect.

    Databricks hands every job parameter to every notebook, before the task's own parameter of the
    same name.

    Args:
        tasks: The job's tasks.
        parameters: The job's parameters.

    Returns:
        One sentence for each; none for a task's parameter that refers to the job's.
    """
    return tuple(
        f"Task {task.task_key!r} sets {name!r}, but its notebook gets the job parameter of the "
        "same name; rename one of the two."
        for task in tasks
        for name, value in sorted(task.parameters.items())
        if name in parameters and not _refers_to(value, name)
    )


def _refers_to(value: str, name: str) -> bool:
    return (
        re.fullmatch(rf"\{{\{{\s*job\.parameters\.`?{re.escape(name)}`?\s*\}}\}}", value)
        is not None
    )


def _task_problems(tasks: Sequence[NotebookTask]) -> Iterator[str]:
    keys = [task.task_key for task in tasks]
    if not tasks:
        yield "it has no tasks"
    for key in dict.fromkeys(keys):
        if not _KEY.fullmatch(key):
            yield f"task key {key!r} must be 1 to 100 letters, digits, dashes or underscores"
    for key in sorted(_repeated(keys)):
        yield f"task key {key!r} is used twice"
    for task in tasks:
        for upstream in task.depends_on:
            if upstream not in keys:
                yield (
                    f"task {task.task_key!r} depends on {upstream!r}, which is not a task of the "
                    "job"
                )
    try:
        TopologicalSorter({task.task_key: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        yield f"tasks depend on each other in a circle: {' → '.join(error.args[1])}"


def _key_problems(spec: JobSpec) -> Iterator[str]:
    for what, keys in (("job cluster", spec.job_clusters), ("environment", spec.environments)):
        for key in keys:
            if not _KEY.fullmatch(key):
                yield (
                    f"the key of {what} {key!r} must be 1 to 100 letters, digits, dashes or "
                    "underscores"
                )
    if len(spec.tags) >= _TAGS:
        yield f"it has {len(spec.tags)} tags, and {_TAGS - 1} are allowed"
    if SPEC_TAG in spec.tags:
        yield f"tag {SPEC_TAG!r} is used by the block itself"


def _parameter_problems(
    tasks: Sequence[NotebookTask], parameters: Mapping[str, str]
) -> Iterator[str]:
    for name in parameters:
        if not _PARAMETER_NAME.fullmatch(name):
            yield (
                f"the name of job parameter {name!r} must be letters, digits, dashes, dots or "
                "underscores"
            )
    if (size := _json_bytes(parameters)) > _JOB_PARAMETER_BYTES:
        yield _too_large("the job parameters", size, _JOB_PARAMETER_BYTES)
    yield from _text_problems("job parameter", parameters)
    for task in tasks:
        if (size := _json_bytes(task.parameters)) > _TASK_PARAMETER_BYTES:
            yield _too_large(
                f"the parameters of task {task.task_key!r}", size, _TASK_PARAMETER_BYTES
            )
        yield from _text_problems(f"task {task.task_key!r}: parameter", task.parameters)


def _text_problems(what: str, parameters: Mapping[str, str]) -> Iterator[str]:
    for name, value in parameters.items():
        if found := _NO_TEXT.search(f"{name}{value}"):
            yield f"{what} {name!r} is no text: it has {found.group()!r}"


def _git_problems(spec: JobSpec) -> Iterator[str]:
    source = spec.git_source
    if source.git_url and len(source.references) != 1:
        yield "git_source needs exactly one of git_branch, git_tag and git_commit"
    if source.references and not source.git_url:
        yield "git_source has no git_url"
    for task in spec.tasks:
        if task.source != "GIT":
            continue
        if not source.git_url:
            yield f"task {task.task_key!r} has source GIT, but the job has no git_source"
        path = PurePosixPath(task.notebook)
        if path.is_absolute() or ".." in path.parts:
            yield (
                f"task {task.task_key!r} has source GIT, so its notebook {task.notebook!r} must "
                "be a path inside the repository"
            )


def _people_problems(spec: JobSpec) -> Iterator[str]:
    if len(spec.run_as.principal) > 1:
        yield "run_as has both user_name and service_principal_name, and can have only one"
    for position, entry in enumerate(spec.access_control_list):
        where = f"access_control_list[{position}]"
        if len(entry.principal) != 1:
            yield (f"{where} needs exactly one of user_name, service_principal_name and group_name")
        elif entry.permission_level == "IS_OWNER" and entry.group_name:
            yield f"{where} makes a group the owner, and only a user or service principal can be"
    principals = [
        f"{kind} {name!r}"
        for entry in spec.access_control_list
        for kind, name in entry.principal.items()
    ]
    for principal in sorted(_repeated(principals)):
        yield f"access_control_list has {principal} twice"
    levels = [entry.permission_level for entry in spec.access_control_list]
    if levels.count("IS_OWNER") > 1:
        yield "access_control_list makes more than one the owner"


def _token_problems(token: str) -> Iterator[str]:
    if len(token) > _TOKEN_CHARACTERS:
        yield (
            f"the idempotency token has {len(token)} characters, and {_TOKEN_CHARACTERS} are "
            "allowed"
        )


def _json_bytes(parameters: Mapping[str, str]) -> int:
    text = json.dumps(dict(parameters), ensure_ascii=False, separators=(",", ":"))
    return len(text.encode(errors="backslashreplace"))


def _too_large(what: str, size: int, limit: int) -> str:
    return f"{what} take {size:,} bytes as JSON, and {limit:,} are allowed; pass a path instead"


def _repeated(items: Sequence[str]) -> set[str]:
    return {item for item in items if items.count(item) > 1}

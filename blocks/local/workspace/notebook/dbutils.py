"""``dbutils``, as a notebook sees it.

Names, arguments and error texts are those of Databricks
(https://docs.databricks.com/dev-tools/databricks-utils).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from blocks.local.workspace.notebook.context import EntryPoint, NotebookContext
from blocks.local.workspace.notebook.contract import Host, NotebookRequest
from blocks.local.workspace.notebook.filesystem import FileSystem
from blocks.local.workspace.notebook.outputs import Redactor

MAX_EXIT_BYTES = 5 * 1024 * 1024
MAX_TASK_VALUE_BYTES = 48 * 1024


class NotebookExit(BaseException):
    """Ends a notebook with success; no ``except Exception`` of the notebook stops it."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class Py4JJavaError(Exception):
    """What Databricks raises where dbutils fails: the name of a Java class and its message."""


class Widgets:
    """``dbutils.widgets``: the parameters of a notebook, always text."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._values = dict(parameters)

    def text(self, name: str, defaultValue: str, label: str = "") -> None:  # noqa: N803 - theirs
        """Define a text widget; a parameter of the same name wins over the default."""
        self._define(name, defaultValue)

    def dropdown(
        self,
        name: str,
        defaultValue: str,  # noqa: N803 - theirs
        choices: Iterable[str],
        label: str = "",
    ) -> None:
        """Define a dropdown; its default must be one of the choices."""
        self._define(name, defaultValue, choices)

    def combobox(
        self,
        name: str,
        defaultValue: str,  # noqa: N803 - theirs
        choices: Iterable[str],
        label: str = "",
    ) -> None:
        """Define a combobox; its default may be any text."""
        self._define(name, defaultValue)

    def multiselect(
        self,
        name: str,
        defaultValue: str,  # noqa: N803 - theirs
        choices: Iterable[str],
        label: str = "",
    ) -> None:
        """Define a multiselect; its default must be one of the choices."""
        self._define(name, defaultValue, choices)

    def get(self, name: str) -> str:
        """Return the value of a widget or parameter."""
        if name not in self._values:
            raise Py4JJavaError(
                "com.databricks.dbutils_v1.InputWidgetNotDefined: "
                f"No input widget named {name} is defined"
            )
        return self._values[name]

    def getArgument(self, name: str, defaultValue: str | None = None) -> str:  # noqa: N802, N803 - theirs
        """Return the value of a widget, or ``defaultValue`` if there is no such widget."""
        if defaultValue is not None and name not in self._values:
            return defaultValue
        return self.get(name)

    def getAll(self) -> dict[str, str]:  # noqa: N802 - theirs
        """Return all values by name."""
        return dict(self._values)

    def remove(self, name: str) -> None:
        """Remove a widget."""
        self.get(name)
        del self._values[name]

    def removeAll(self) -> None:  # noqa: N802 - theirs
        """Remove all widgets."""
        self._values.clear()

    def _define(self, name: str, default: str, choices: Iterable[str] | None = None) -> None:
        for what, text in (("name", name), ("default", default)):
            if not isinstance(text, str):
                raise TypeError(f"The {what} of widget {name!r} must be text, not {text!r}.")
        if choices is not None and default not in list(choices):
            raise Py4JJavaError(
                f"java.lang.IllegalArgumentException: The default {default!r} of widget {name!r} "
                "is not one of its choices."
            )
        self._values.setdefault(name, default)


class Notebook:
    """``dbutils.notebook``: leave this notebook, run another one."""

    def __init__(self, host: Host, request: NotebookRequest) -> None:
        self._host = host
        self._folder = posixpath.dirname(request.notebook.path)
        self.entry_point = EntryPoint(NotebookContext(request))

    def exit(self, value: str = "") -> NoReturn:
        """End the notebook with success; ``value`` becomes the result of its run."""
        raise NotebookExit(_first_bytes(str(value), MAX_EXIT_BYTES))

    def run(
        self,
        path: str,
        timeout_seconds: int = 0,
        arguments: Mapping[str, str] | None = None,
    ) -> str:
        """Run another notebook to its end and return what it gave to ``exit``.

        Args:
            path: Absolute, or relative to this notebook's folder.
            timeout_seconds: 0 for no limit.
            arguments: Parameters of that notebook.
        """
        target = resolve(self._folder, path)
        given = {str(name): str(value) for name, value in (arguments or {}).items()}
        try:
            outcome = self._host.run_notebook(target, timeout_seconds, given)
        except KeyError:
            raise _workflow_error(f"Notebook not found: {target}") from None
        except TimeoutError:
            raise _workflow_error(f"TIMEDOUT: {target} took over {timeout_seconds} s") from None
        if outcome.status != "succeeded":
            raise _workflow_error(f"FAILED: {target}: {outcome.error}")
        return outcome.result or ""


class Secrets:
    """``dbutils.secrets``: what is read here no longer shows in any output."""

    def __init__(self, host: Host, redact: Redactor) -> None:
        self._host = host
        self._redact = redact

    def get(self, scope: str, key: str) -> str:
        """Return a secret's value."""
        try:
            value = self._host.secret(scope, key)
        except KeyError:
            raise Py4JJavaError(
                "java.lang.IllegalArgumentException: "
                f"Secret does not exist with scope: {scope} and key: {key}"
            ) from None
        self._redact.add(value)
        return value

    def getBytes(self, scope: str, key: str) -> bytes:  # noqa: N802 - theirs
        """Return a secret's value as bytes."""
        return self.get(scope, key).encode()

    def list(self, scope: str) -> Sequence[SecretMetadata]:
        """Return the keys of a scope, never values."""
        scopes = self._host.secret_scopes()
        if scope not in scopes:
            raise Py4JJavaError(
                f"java.lang.IllegalArgumentException: Scope does not exist: {scope}"
            )
        return [SecretMetadata(key) for key in scopes[scope]]

    def listScopes(self) -> Sequence[SecretScope]:  # noqa: N802 - theirs
        """Return the scopes."""
        return [SecretScope(name) for name in self._host.secret_scopes()]


@dataclass(frozen=True)
class SecretMetadata:
    """An entry of ``dbutils.secrets.list``."""

    key: str


@dataclass(frozen=True)
class SecretScope:
    """An entry of ``dbutils.secrets.listScopes``."""

    name: str

    def getName(self) -> str:  # noqa: N802 - theirs
        """Return the name."""
        return self.name


class TaskValues:
    """``dbutils.jobs.taskValues``: small values from one task of a job to the next."""

    def __init__(self, host: Host, in_job: bool) -> None:
        self._host = host
        self._in_job = in_job

    def set(self, key: str, value: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
        """Keep ``value`` under the running task; outside a job, do nothing."""
        text = json.dumps(value)
        if len(text.encode()) > MAX_TASK_VALUE_BYTES:
            raise ValueError(
                f"The task value {key!r} is larger than {MAX_TASK_VALUE_BYTES // 1024} KiB as JSON."
            )
        if self._in_job:
            self._host.set_task_value(key, text)

    def get(
        self,
        taskKey: str,  # noqa: N803 - theirs
        key: str,
        default: Any = None,  # noqa: ANN401 - anything that JSON can hold
        debugValue: Any = None,  # noqa: ANN401, N803 - theirs
    ) -> Any:  # noqa: ANN401 - anything that JSON can hold
        """Return the value that another task has set; outside a job, ``debugValue``."""
        if not self._in_job:
            if debugValue is None:
                raise TypeError(
                    "Must pass debugValue when calling get outside of a job context. "
                    "debugValue cannot be None."
                )
            return debugValue
        try:
            return json.loads(self._host.task_value(taskKey, key))
        except KeyError:
            if default is None:
                raise ValueError(
                    f"No task value with key {key!r} was set by task {taskKey!r}, and no default "
                    "was given."
                ) from None
            return default


class Library:
    """``dbutils.library``."""

    def __init__(self, restart: Callable[[], None]) -> None:
        self._restart = restart

    def restartPython(self) -> None:  # noqa: N802 - theirs
        """Forget all variables of the notebook, as a new Python process would."""
        self._restart()


@dataclass(frozen=True)
class Jobs:
    """``dbutils.jobs``."""

    taskValues: TaskValues  # noqa: N815 - theirs


class DBUtils:
    """The global ``dbutils``.

    Args:
        request: The execution that it belongs to.
        host: The workspace.
        redact: Is told every secret that the notebook reads.
        restart: Forgets the variables of the notebook.
    """

    def __init__(
        self,
        request: NotebookRequest,
        host: Host,
        redact: Redactor,
        restart: Callable[[], None],
    ) -> None:
        self.widgets = Widgets(request.parameters)
        self.notebook = Notebook(host, request)
        self.library = Library(restart)
        self.secrets = Secrets(host, redact)
        self.jobs = Jobs(TaskValues(host, in_job="task_key" in request.context))
        self.fs = FileSystem(host, request.dbfs)


def resolve(folder: str, path: str) -> str:
    """Return the absolute workspace path of a notebook that is named from within ``folder``."""
    return posixpath.normpath(posixpath.join(folder, path))


def _workflow_error(reason: str) -> Py4JJavaError:
    return Py4JJavaError(f"com.databricks.WorkflowException: {reason}")


def _first_bytes(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")

"""Where the code of tasks comes from: the workspace's own tree, or a commit of a repository."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Protocol

from blocks.local.workspace import git
from blocks.local.workspace.notebook.contract import NotebookFile, NotebookFormat
from blocks.local.workspace.notebook.dbfs import is_dbfs
from blocks.local.workspace.notebook.source import HEADER
from blocks.local.workspace.specs import TaskSpec
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.objects import ObjectType, normalise


class CodeSource(Protocol):
    """Gives notebooks and Python files by path."""

    def notebook(self, path: str) -> NotebookFile:
        """Return a notebook, whose path may carry the file extension; KeyError if none."""
        ...

    def script(self, path: str) -> NotebookFile:
        """Return a Python file; KeyError if there is none."""
        ...


@dataclass(frozen=True)
class WorkspaceSource:
    """The tree of the workspace, and DBFS for Python files.

    Attributes:
        store: Of the workspace.
    """

    store: Store

    def notebook(self, path: str) -> NotebookFile:
        """See ``CodeSource``."""
        path = normalise(path)
        stem = path.removesuffix(".py").removesuffix(".ipynb")
        for candidate in (path, stem):
            item = self.store.objects.get(candidate)
            if item is not None and item.object_type is ObjectType.NOTEBOOK:
                form: NotebookFormat = "JUPYTER" if item.format == "JUPYTER" else "SOURCE"
                return NotebookFile(item.path, item.content.decode(), form)
        raise KeyError(path)

    def script(self, path: str) -> NotebookFile:
        """See ``CodeSource``."""
        if is_dbfs(path):
            return self._dbfs_script(path)
        item = self.store.objects.get(normalise(path))
        if item is None or item.object_type is not ObjectType.FILE:
            raise KeyError(path)
        return NotebookFile(item.path, item.content.decode(errors="replace"), "SCRIPT")

    def _dbfs_script(self, path: str) -> NotebookFile:
        file = self.store.dbfs.local(path)
        if not file.is_file():
            raise KeyError(path)
        return NotebookFile(path, file.read_text(errors="replace"), "SCRIPT")


@dataclass(frozen=True)
class GitSource:
    """One commit of a repository on this machine. A leading slash means the repository's top.

    Attributes:
        folder: Of the repository.
        commit: Full name of the commit.
    """

    folder: str
    commit: str

    def notebook(self, path: str) -> NotebookFile:
        """See ``CodeSource``."""
        stem = _inside(path).removesuffix(".py").removesuffix(".ipynb")
        try:
            content = self._text(f"{stem}.py")
        except KeyError:
            return NotebookFile(f"/{stem}", self._text(f"{stem}.ipynb"), "JUPYTER")
        if content.splitlines()[:1] != [HEADER]:
            raise KeyError(path)
        return NotebookFile(f"/{stem}", content)

    def script(self, path: str) -> NotebookFile:
        """See ``CodeSource``."""
        inside = _inside(path)
        return NotebookFile(f"/{inside}", self._text(inside), "SCRIPT")

    def _text(self, path: str) -> str:
        return git.read(self.folder, self.commit, path).decode(errors="replace")


def code_source(store: Store, run_id: int, task: TaskSpec) -> CodeSource:
    """Return where the code of a task comes from.

    All tasks of a round see the same commit: the one that its first GIT task has found.

    Raises:
        GitError: The commit cannot be found.
    """
    if task.action.get("source") != "GIT":
        return WorkspaceSource(store)
    run = store.runs.get(run_id)
    git_source = {} if run is None else run.round.settings["git_source"]
    if "git_snapshot" not in git_source:
        snapshot = {"git_snapshot": {"used_commit": git.commit_of(git_source)}}
        with store.transaction():
            run = store.runs.get(run_id)
            if run is None:
                raise git.GitError("the run has been deleted")
            settings = run.round.settings
            git_source = {**snapshot, **settings["git_source"]}
            current = replace(run.round, settings={**settings, "git_source": git_source})
            store.runs.change(replace(run, rounds=(*run.rounds[:-1], current)))
    return GitSource(git.repository(git_source), git_source["git_snapshot"]["used_commit"])


def _inside(path: str) -> str:
    return posixpath.normpath(f"/{path}").lstrip("/")

"""Installs the libraries of a cluster, and those that a notebook asks ``%pip`` for."""

from __future__ import annotations

import posixpath
import shlex
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from blocks.local.workspace.libraries import Library, LibraryError, with_pins
from blocks.local.workspace.notebook.contract import PipResult
from blocks.local.workspace.notebook.dbfs import is_dbfs
from blocks.local.workspace.overlay import Command, Overlay, Pip, PipMissingError
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.objects import ObjectType, normalise

_WORKSPACE = "/Workspace/"
_LAST_LINES = 3


class ClusterLibraries:
    """The libraries of one cluster: recorded from the tasks that ran on it, perhaps installed.

    Args:
        store: Has the workspace's files, which may be wheels.
        pip: Installs them; None to record them only.
    """

    def __init__(self, store: Store, pip: Pip | None) -> None:
        self._store = store
        self._pip = pip
        self._lock = threading.Lock()
        self._overlay: Overlay | None = None
        self._versions: dict[str, str] = {}
        self._known: set[Library] = set()

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders with what is installed, for ``sys.path``."""
        return () if self._overlay is None else (self._overlay.site_packages,)

    def add(self, libraries: Iterable[Library], run: Command) -> None:
        """Record the libraries of a task and install what the cluster does not have yet.

        Tasks that start on one cluster at the same time wait here for each other, as there.

        Args:
            libraries: What it asks for.
            run: Runs pip.

        Raises:
            LibraryError: One of them cannot be installed, or not together with another.
        """
        with self._lock:
            new = [library for library in libraries if library not in self._known]
            versions = with_pins(self._versions, new)
            if new and self._pip is not None:
                self._install(self._pip, new, run)
            self._versions = versions
            self._known.update(new)

    def _install(self, pip: Pip, libraries: Sequence[Library], run: Command) -> None:
        if self._overlay is None:
            self._overlay = Overlay(pip)
        options = [word for item in libraries if item.kind == "pip" for word in _words(item)]
        for library in libraries:
            if library.kind == "pip":
                continue
            arguments = (*options, *_arguments(library, self._store, self._overlay.files))
            try:
                done = self._overlay.pip(("install", *arguments), run)
            except PipMissingError as error:
                raise LibraryError(str(library), str(error)) from None
            if done.returncode:
                raise LibraryError(str(library), _last_words(done.stdout))

    def remove(self) -> None:
        """Remove what is installed from the disk."""
        with self._lock:
            if self._overlay is not None:
                self._overlay.remove()


class NotebookLibraries:
    """What one notebook installs for itself with ``%pip``, on top of its cluster's libraries.

    Args:
        store: Has the workspace's files.
        pip: Installs; None if nothing is to be installed.
        below: The folders of the cluster.
    """

    def __init__(self, store: Store, pip: Pip | None, below: Sequence[Path]) -> None:
        self._store = store
        self._pip = pip
        self._below = below
        self._overlay: Overlay | None = None

    def pip(self, arguments: Sequence[str], folder: str, run: Command) -> PipResult:
        """Run ``%pip``.

        Args:
            arguments: What follows ``%pip``; paths of the workspace may be among them.
            folder: The notebook's, to which relative paths belong.
            run: Runs pip.
        """
        if self._pip is None:
            return PipResult(1, "ERROR: The local workspace installs no libraries.\n", "")
        if self._overlay is None:
            self._overlay = Overlay(self._pip, self._below)
        site_packages = str(self._overlay.site_packages)
        try:
            known = [self._local(item, folder, self._overlay.files) for item in arguments]
            done = self._overlay.pip(known, run)
        except (LibraryError, PipMissingError) as error:
            return PipResult(1, f"ERROR: {error}\n", site_packages)
        return PipResult(done.returncode, done.stdout, site_packages)

    def of_another(self) -> NotebookLibraries:
        """Return the libraries, none yet, of another notebook on the same cluster."""
        return NotebookLibraries(self._store, self._pip, self._below)

    def _local(self, argument: str, folder: str, files: Path) -> str:
        if argument.startswith(("./", "../")):
            argument = posixpath.normpath(f"{_WORKSPACE}{folder}/{argument}")
        if argument.startswith(_WORKSPACE):
            return local_file(argument, self._store, files)
        return argument

    def remove(self) -> None:
        """Remove what is installed from the disk."""
        if self._overlay is not None:
            self._overlay.remove()


def _arguments(library: Library, store: Store, files: Path) -> tuple[str, ...]:
    match library.kind:
        case "pypi":
            index = ("--index-url", library.index) if library.index else ()
            return (*index, *_words(library))
        case "whl":
            return (local_file(library.name, store, files),)
        case "requirements":
            return ("--requirement", local_file(library.name, store, files))
        case _:
            raise LibraryError(
                str(library),
                "The local workspace installs pypi, whl and requirements libraries only:"
                " it has no JVM and no R.",
            )


def _words(library: Library) -> tuple[str, ...]:
    # A requirement may have spaces ("a >= 1"), which are one word for pip.
    return tuple(shlex.split(library.name)) if library.kind == "pip" else (library.name,)


def local_file(path: str, store: Store, files: Path) -> str:
    """Return the path, on this machine, of a wheel or a requirements file.

    Args:
        path: ``/Workspace/…`` for a file of the workspace, ``dbfs:/…`` for one of DBFS, else a path
            or ``file:`` URI.
        store: Of the workspace.
        files: Where a file of the workspace is copied to.

    Raises:
        LibraryError: There is no such file.
    """
    if path.startswith(_WORKSPACE):
        item = store.objects.get(normalise(path))
        if item is None or item.object_type is not ObjectType.FILE:
            raise LibraryError(path, "There is no such file in the workspace.")
        copy = files / Path(item.path).name
        copy.write_bytes(item.content)
        return str(copy)
    if is_dbfs(path):
        try:
            local = store.dbfs.local(path)
        except ValueError as error:
            raise LibraryError(path, str(error)) from None
        if not local.is_file():
            raise LibraryError(path, "There is no such file in DBFS.")
        return str(local)
    parts = urlsplit(path)
    if parts.scheme not in {"", "file"}:
        raise LibraryError(
            path,
            f"The local workspace has no {parts.scheme}: file system;"
            " use a path below /Workspace/ or dbfs:/, or one of this machine.",
        )
    local = Path(unquote(parts.path) if parts.scheme else path)
    if not local.is_file():
        raise LibraryError(path, "There is no such file on this machine.")
    return str(local)


def _last_words(output: str) -> str:
    """Return what pip says about its failure: its errors, or its last lines if it names none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return " ".join((errors or lines)[-_LAST_LINES:]) or "pip was ended."

"""Folders of Python packages on top of this environment, filled by pip, never part of it.

An *overlay* is a virtual environment that sees this one's packages as its own base: pip installs
what is missing or wanted in another version into the overlay, and leaves everything below alone.
pip itself lives in an environment of its own, because this one may come without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from blocks.local.workspace.notebook.environment import ordinary_environment

Command = Callable[[Sequence[str], Mapping[str, str]], "subprocess.CompletedProcess[str]"]


class PipMissingError(Exception):
    """This Python cannot make an environment that has pip."""


class Pip:
    """The pip that fills overlays; it is made when it is first needed.

    Args:
        folder: Where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line that runs pip.

        Raises:
            PipMissingError: It cannot be made; the text says what to do.
        """
        # The last thing that is written: without it somebody was killed while making it.
        whole = self._folder / "whole"
        with self._lock:
            if not whole.exists():
                self._make()
                whole.touch()
        return (str(self._folder / "bin" / "python"), "-m", "pip", *arguments)

    def _make(self) -> None:
        try:
            venv.create(self._folder, clear=True, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError):
            raise PipMissingError(
                "This Python cannot make an environment with pip;"
                " install its module ensurepip (on Debian: the package python3-venv)."
            ) from None


class Overlay:
    """A folder of packages on top of others.

    Args:
        pip: Fills it.
        below: Folders of packages that it sees, besides those of this environment.

    Attributes:
        site_packages: The folder, for ``sys.path``.
        files: A folder for what is to be installed.
    """

    def __init__(self, pip: Pip, below: Sequence[Path] = ()) -> None:
        self._pip = pip
        self._folder = Path(tempfile.mkdtemp(prefix="libraries-"))
        self.files = self._folder / "files"
        self.files.mkdir()
        venv.create(self._folder / "venv", symlinks=True)
        self._python = self._folder / "venv" / "bin" / "python"
        base = {"base": str(self._folder / "venv"), "platbase": str(self._folder / "venv")}
        self.site_packages = Path(sysconfig.get_path("purelib", "venv", base))
        own = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [str(path) for path in (*below, *sorted(own))]
        (self.site_packages / "below.pth").write_text("\n".join(lines) + "\n")

    def pip(self, arguments: Sequence[str], run: Command) -> subprocess.CompletedProcess[str]:
        """Run pip on the overlay.

        Args:
            arguments: ``install``, what to install …
            run: Runs a command, given with its environment, to its end.

        Raises:
            PipMissingError: There is no pip.
        """
        command = self._pip.command("--python", str(self._python), *arguments)
        return run(command, pip_environment(os.environ))

    def remove(self) -> None:
        """Remove it from the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of pip: ordinary variables, its own settings, proxies, certificates.

    Nothing else: what it installs may run code of the package.
    """
    allowed = ordinary_environment(environ)
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        allowed.pop(name, None)
    allowed.update(
        (name, value)
        for name, value in environ.items()
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or name == "SSL_CERT_FILE"
    )
    return allowed | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}

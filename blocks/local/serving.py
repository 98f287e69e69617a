"""One server of the project in a state folder at a time; a second one is told where the first is.

What keeps them apart is a lock of the kernel's, which ends with the process however it ends: one
that was killed does not block the next.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blocks.local.children import StackError


@contextmanager
def served_once(state_dir: Path) -> Iterator[Callable[[str], None]]:
    """Claim a state folder for serving, for the length of a ``with`` block.

    Args:
        state_dir: The state folder; made when missing.

    Yields:
        A function that takes the URL of the UI, for those who come later.

    Raises:
        StackError: Another process serves this folder; the message says which one, and where.
    """
    folder = state_dir.resolve() / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(folder / "serving", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(_already_served(state_dir, *file.read().splitlines())) from None

        def announce(url: str = "") -> None:
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n{url}")
            file.flush()

        announce()
        yield announce


def _already_served(state_dir: Path, process: str = "unknown", url: str = "") -> str:
    where = f"at {url}" if url else "and is still starting"
    return (
        f"process {process} serves {state_dir.resolve()} already, {where}; use that one, stop it "
        "first, or start in another folder."
    )

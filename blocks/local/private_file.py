"""Files that only their owner may read, always whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file with mode 0600, at once: a reader sees the old text or the new, never a part."""
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    Path(draft).replace(file)

"""What a cell produces, collected in order, bounded in size and without secrets."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blocks.local.workspace.notebook.contract import Output

STDOUT = "application/vnd.stream.stdout"
STDERR = "application/vnd.stream.stderr"
REDACTED = "[REDACTED]"
MAX_CELL_CHARACTERS = 10_000_000

_RICHEST_FIRST = (
    "text/html",
    "image/png",
    "image/jpeg",
    "image/svg+xml",
    "text/markdown",
    "text/plain",
)


class Redactor:
    """Replaces every secret that a notebook has read, wherever its literal value appears."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str) -> None:
        """Hide ``secret`` from now on."""
        if secret:
            self._secrets.add(secret)

    def __call__(self, text: str) -> str:
        """Return ``text`` with ``[REDACTED]`` in place of each secret."""
        # The longest first: a secret may be part of another one.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text


class OutputRecorder:
    """Collects the outputs of the cell that is running."""

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._parts: list[tuple[str, list[str]]] = []
        self._characters = 0

    def text(self, mime_type: str, text: str) -> None:
        """Add printed text; it continues the output before it if that is of the same stream."""
        room = MAX_CELL_CHARACTERS - self._characters
        self._characters += len(text)
        if room < 0 or not text:
            return
        if len(text) > room:
            text = text[:room] + f"\n… cut off after {MAX_CELL_CHARACTERS:,} characters\n"
        if self._parts and self._parts[-1][0] == mime_type:
            self._parts[-1][1].append(text)
        else:
            self._parts.append((mime_type, [text]))

    def bundle(self, data: Mapping[str, Any]) -> None:
        """Add the richest representation of an object that has several, by MIME type."""
        mime_type = next((known for known in _RICHEST_FIRST if known in data), None)
        if mime_type is None:
            return
        text = str(data[mime_type])
        if self._characters + len(text) > MAX_CELL_CHARACTERS:
            mime_type, text = "text/plain", f"… left out: {len(text):,} characters of {mime_type}"
        self._characters += len(text)
        self._parts.append((mime_type, [text]))

    def take(self) -> tuple[Output, ...]:
        """Return what was collected, and begin anew."""
        outputs = tuple(self._output(mime_type, "".join(texts)) for mime_type, texts in self._parts)
        self._parts = []
        self._characters = 0
        return outputs

    def _output(self, mime_type: str, data: str) -> Output:
        # Base64 holds no literal secret, and a short one would break it.
        is_text = not mime_type.startswith("image/") or mime_type == "image/svg+xml"
        return Output(mime_type, self._redact(data) if is_text else data)


class OutputStream(io.TextIOBase):
    """A standard stream of a notebook: what is printed to it becomes an output of the cell."""

    encoding = "utf-8"

    def __init__(self, recorder: OutputRecorder, mime_type: str) -> None:
        self._recorder = recorder
        self._mime_type = mime_type

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Add ``text`` to the output of the cell that is running."""
        self._recorder.text(self._mime_type, text)
        return len(text)


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Return a table in HTML; names and values are escaped, and None shows as ``null``."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows)
    caption = f"<caption>{html.escape(note)}</caption>" if note else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_cell(value: object) -> str:
    return f"<td>{'null' if value is None else html.escape(str(value))}</td>"

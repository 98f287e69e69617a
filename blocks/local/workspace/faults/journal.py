"""The journal of the requests that were received, without what is secret in them."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import parse_qsl

from pydantic import JsonValue

_LENGTH = 10_000
_LONGEST_TEXT = 2_000
_DEEPEST = 50
_REDACTED = "[REDACTED]"
# Page tokens and idempotency tokens are no secrets, and what tests want to see.
_SECRET = re.compile(
    r"(?i)password|secret_|_secret|credential|private_key|access_key|access_token|authorization"
    r"|^(token|token_value|string_value|bytes_value)$"
)

# Where the kind of the fault that struck the request in hand is written, by whoever knows it.
_struck: ContextVar[list[str] | None] = ContextVar("struck", default=None)


def watch_faults() -> list[str]:
    """Return a list that gets the kinds of the faults that strike in this context."""
    kinds: list[str] = []
    _struck.set(kinds)
    return kinds


def note_fault(kind: str) -> None:
    """Say that a fault struck the request in hand."""
    kinds = _struck.get()
    if kinds is not None:
        kinds.append(kind)


@dataclass(frozen=True)
class Entry:
    """A request that was received.

    Attributes:
        time: When, in epoch milliseconds.
        method: ``GET`` …
        path: Without the query.
        query: The arguments in the address.
        body: The JSON of the body; a text that says what it was, if it was something else.
        status: Of the answer; None if no answer was sent.
        fault: Kind of the fault that struck; None if none did.
    """

    time: int
    method: str
    path: str
    query: JsonValue
    body: JsonValue
    status: int | None
    fault: str | None


class Journal:
    """The latest requests, 10,000 at most.

    Args:
        secrets: Texts that must not appear, wherever they are: the token of the API.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=_LENGTH)

    def add(self, entry: Entry) -> None:
        """Note a request; what is secret in it is left out."""
        safe = replace(
            entry,
            path=_safe_text(entry.path, self._secrets),
            query=_safe(entry.query, self._secrets),
            body=_safe(entry.body, self._secrets),
        )
        with self._lock:
            self._entries.append(safe)

    def entries(self) -> list[Entry]:
        """Return the requests, oldest first."""
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._entries.clear()


def read_query(query: bytes) -> JsonValue:
    """Return the arguments of an address; the last one of a name counts."""
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))


def read_body(content_type: str, body: bytes) -> JsonValue:
    """Return what the journal shows of a body: its JSON, or a text that says what it was."""
    if not body:
        return None
    try:
        content: JsonValue = json.loads(body, parse_constant=_no_number)
        # Half of a surrogate pair can be written in JSON, but is no text.
        json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return f"[{len(body)} bytes of {content_type or 'unknown type'}]"
    return content


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _safe(value: JsonValue, secrets: tuple[str, ...], depth: int = 0) -> JsonValue:
    """Return a value of JSON without secrets, and with long texts and deep nesting cut.

    Args:
        value: The value.
        secrets: Texts to leave out wherever they are. Fields with the names of secrets go anyway.
        depth: How deep it is nested.
    """
    if depth > _DEEPEST:
        return "[deeper]"
    match value:
        case dict():
            return {
                _safe_text(name, secrets): _REDACTED
                if item and _SECRET.search(name)
                else _safe(item, secrets, depth + 1)
                for name, item in value.items()
            }
        case list():
            return [_safe(item, secrets, depth + 1) for item in value]
        case str():
            return _safe_text(value, secrets)
        case _:
            return value


def _safe_text(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text without secrets, or its length if it is long."""
    for secret in secrets:
        text = text.replace(secret, _REDACTED)
    return text if len(text) <= _LONGEST_TEXT else f"[{len(text)} characters]"

"""Page tokens: opaque to clients, here the position at which the page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from blocks.local.workspace.errors import invalid


def encode(position: int) -> str:
    """Return the token of the page that begins at a position."""
    return base64.urlsafe_b64encode(f"from:{position}".encode()).decode()


def decode(token: str | None) -> int:
    """Return the position at which the page of a token begins; 0 without one.

    Raises:
        ApiError: The token was not given out by this workspace.
    """
    if not token:
        return 0
    try:
        name, _, position = base64.urlsafe_b64decode(token).decode().partition(":")
        if name == "from" and 0 <= (number := int(position)) < 2**63:
            return number
    except (binascii.Error, ValueError):
        pass
    raise invalid("Invalid page_token: use the one of the answer before.")


def page(
    arrays: Mapping[str, Sequence[Any]], position: int, size: int
) -> tuple[dict[str, Sequence[Any]], str | None]:
    """Cut a page out of several arrays that are read side by side.

    Args:
        arrays: The whole arrays by name.
        position: Where the page begins, in each.
        size: How many elements of each it has at most.

    Returns:
        The arrays of the page, empty where they are exhausted, and the token of the next page.
    """
    end = position + size
    cut = {name: values[position:end] for name, values in arrays.items()}
    more = any(len(values) > end for values in arrays.values())
    return cut, encode(end) if more else None

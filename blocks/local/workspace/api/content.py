"""Bytes as clients send them in JSON."""

from __future__ import annotations

import base64
import binascii

from blocks.local.workspace.errors import invalid


def decoded(text: str, name: str) -> bytes:
    """Return the bytes of a text in base64.

    Args:
        text: As a client sent it.
        name: Of the argument, for the error.

    Raises:
        ApiError: It is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"{name} is not valid base64.") from None

"""Multipart form bodies, as uploads to the workspace use them."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from blocks.local.workspace.errors import malformed


def parse_form(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return the parts of a ``multipart/form-data`` body by field name.

    Args:
        content_type: The header, with its boundary.
        body: The bytes of the request.

    Raises:
        ApiError: It is not such a body.
    """
    header = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    message = BytesParser(EmailMessage, policy=policy.HTTP).parsebytes(header + body)
    if not message.is_multipart() or message.defects:
        raise malformed("the multipart body is not complete")
    parts: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            parts[name] = payload
    return parts

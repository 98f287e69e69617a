"""Multipart form bodies, as uploads to the workspace and to DBFS use them.

``email`` parses headers here, and no bodies: what a part holds is never text, mail or multipart
again, whatever its own headers say.
"""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser

from blocks.local.workspace.errors import malformed


def parse_form(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return the parts of a ``multipart/form-data`` body by field name.

    Args:
        content_type: The header, with its boundary.
        body: The bytes of the request.

    Raises:
        ApiError: It is not such a body.
    """
    boundary = _headers(b"Content-Type: " + content_type.encode("latin-1")).get_boundary()
    if not boundary:
        raise malformed("the multipart body has no boundary")
    # https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1: the line break belongs to the delimiter.
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    _, *parts = (b"\r\n" + body).split(delimiter)
    if not parts or not parts.pop().startswith(b"--"):
        raise malformed("the multipart body is not complete")
    form: dict[str, bytes] = {}
    for part in parts:
        head, blank_line, content = part.partition(b"\r\n\r\n")
        if not blank_line:
            raise malformed("a part of the multipart body has no content")
        name = _headers(head.lstrip()).get_param("name", header="content-disposition")
        if isinstance(name, str):
            form[name] = content
    return form


def _headers(lines: bytes) -> EmailMessage:
    return BytesHeaderParser(EmailMessage, policy=policy.HTTP).parsebytes(lines + b"\r\n\r\n")

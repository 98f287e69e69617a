"""Says what has come back from a request: an answer, a refusal, or nothing of use. Pure."""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from blocks.databricks.errors import CREDENTIALS_BLOCK, ApiError, CredentialsError, UnreachableError
from blocks.databricks.redaction import redact

# What no later try makes better: a header, an address or a file that cannot be used.
_HOPELESS = (
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    FileNotFoundError,
)


@dataclass(frozen=True)
class Request:
    """A request, and what its answer is of no use without.

    Attributes:
        method: HTTP method.
        path: Below ``/api/``.
        query: Parameters of the URL.
        body: JSON object that is sent; None for none.
        needs: Name and type of a field of the answer.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    needs: tuple[str, type] | None = None

    def __str__(self) -> str:
        """Return how messages name the request."""
        return f"{self.method} /api/{self.path}"


def read_answer(
    request: Request, response: httpx.Response, secrets: Sequence[str]
) -> dict[str, Any]:
    """Return the JSON object that is the answer.

    Args:
        request: What was asked.
        response: What has come.
        secrets: What must not show in an error.

    Raises:
        ApiError: The request was refused.
        UnreachableError: What came is not what the API answers.
    """
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    fields: dict[str, Any] | None = body if isinstance(body, dict) else None
    if not response.is_success:
        raise _refusal(request, response, fields or {}, secrets)
    name, kind = request.needs or ("", object)
    if fields is None:
        what = _named(response) or "no JSON object"
    elif isinstance(fields.get(name), kind):
        return fields
    else:
        what = f"one without {name}"
    raise UnreachableError(
        f"The answer to {request} was {what}. If it stays so, check databricks_instance of "
        f"{CREDENTIALS_BLOCK}, and proxies."
    )


def _refusal(
    request: Request, response: httpx.Response, fields: Mapping[str, Any], secrets: Sequence[str]
) -> ApiError:
    # Besides its own way, Databricks has that of the API 1.2 and, for identities, that of SCIM.
    said = [str(fields[name]) for name in ("error", "detail", "message") if fields.get(name)]
    what = ": ".join(said) or _named(response) or response.reason_phrase or "no reason was given"
    # The server's clock need not agree with this one.
    now = _read_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return ApiError(
        str(request),
        response.status_code,
        str(fields.get("error_code") or fields.get("scimType") or ""),
        redact(what, secrets),
        retry_after_seconds(response.headers.get("Retry-After"), now),
    )


def _named(response: httpx.Response) -> str:
    """Name an answer that is none of the API's; empty if it is nothing that is known."""
    if response.has_redirect_location:
        return "a redirect, as a login or a wrong databricks_instance gives"
    if response.content.lstrip().startswith(b"<"):
        return "an HTML page, as a proxy, a login or a wrong databricks_instance gives"
    return ""


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header, given as seconds or as an HTTP date (RFC 9110, 10.2.3).

    Args:
        header: The header's value; None without one.
        now: The current time, with its zone.

    Returns:
        Seconds to wait, never negative; None when there is no header or it cannot be read.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        date = _read_date(header)
        return max(0.0, (date - now).total_seconds()) if date else None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _read_date(header: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def no_answer(
    error: Exception, where: str, secrets: Sequence[str]
) -> CredentialsError | UnreachableError:
    """Return what to raise when a request could not be sent, or nothing came back.

    Args:
        error: What the HTTP client met.
        where: The host and the request.
        secrets: What must not show in an error.
    """
    if certificate := _untrusted(error):
        return CredentialsError(
            f"No answer from {where}: its certificate is not trusted ({certificate}). Name the "
            f"file of its authority as verify in client_kwargs of {CREDENTIALS_BLOCK}, and, for "
            "OAuth tokens, in SSL_CERT_FILE."
        )
    reason = redact(str(error), secrets).rstrip(".") or type(error).__name__
    what = f"No answer from {where}: {reason}."
    if isinstance(error, _HOPELESS):
        return CredentialsError(
            f"{what} Check databricks_instance and client_kwargs of {CREDENTIALS_BLOCK}."
        )
    return UnreachableError(
        f"{what} Check databricks_instance of {CREDENTIALS_BLOCK}, and the network."
    )


def _untrusted(error: BaseException | None) -> str:
    """Return why the server's certificate was not accepted; empty if that is not the error."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""

"""Takes secrets out of what notebooks say when they fail. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[REDACTED]"

# Databricks redacts its own secrets; these are what code tends to print all the same.
_PATTERNS = (
    re.compile(r"\bdapi[0-9a-f]{32}(?:-\d+)?\b"),  # Databricks personal access token
    re.compile(r"\bdose[0-9a-f]{32}\b"),  # Databricks OAuth secret
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),  # AWS access key id
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # JSON web token
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # user and password in a URL
    # key=value and "key": "value" of a few telling names, AWS_SECRET_ACCESS_KEY among them
    re.compile(
        r"(?i)(?P<name>(?:password|passwd|secret|token)(?:_\w*key)?[\"']?\s*[=:]\s*[\"']?)"
        r"[^\s\"',;)}]+"
    ),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace secrets by ``[REDACTED]``.

    Args:
        text: What was said.
        secrets: Values that must not show; texts of fewer than four characters are left alone,
            because they are in every other word.

    Returns:
        The text without them, and without what looks like a token, a key or a password.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(_redacted, text)
    return text


def _redacted(found: re.Match[str]) -> str:
    return f"{found.groupdict().get('name', '')}{REDACTED}"

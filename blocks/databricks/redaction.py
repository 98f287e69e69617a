"""Takes secrets out of what notebooks, and the errors of requests, say. Pure.

The time that this takes grows with the length of the text only: no pattern can begin in many
places and run on from each of them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

REDACTED = "[REDACTED]"

# Shorter ones are in every other word.
_SHORTEST = 4
_SHORTEST_BASE64 = 8

# Databricks redacts its own secrets; these are what code tends to print all the same.
_SHAPES = (
    r"\bdapi[0-9a-f]{32}(?:-\d+)?\b",  # Databricks personal access token
    r"\bdose[0-9a-f]{32}\b",  # Databricks OAuth secret
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS access key id
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # JSON web token
    r"\b(?:gh[opsru]|github_pat)_\w{16,}",  # GitHub token
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==",  # Azure storage account key
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*?(?:-----END|\Z)",
)
# What is said before a secret, and stays.
_VALUE = r"""(?:"(?:[^"\\\n]|\\.)+"|'(?:[^'\\\n]|\\.)+'|\\?["']?[^\s"',;&)}]+)"""
_NAMES = (
    r"passw(?:or)?d|passphrase|pwd|(?:secret|token)(?:[_-]\w{0,40}key)?"
    r"|(?:api|access|account|private)[_-]?key"
)
_PLACES = (
    # user:password@ in any URL; a token alone in those of the web: abfss://container@account is
    # an address
    (r"://[^\s/?#:@\"']*:", r"[^\s/\"']+(?=@)"),
    (r"(?i:https?)://(?!git@)", r"[^\s/?#:@\"']+(?=@)"),
    # headers, also where only their value shows, if that is no word
    (r"(?i:authorization)[\"']?\s*[:=]\s*[\"']?(?:(?i:bearer|basic)\s+)?", r"[^\s\"',;)}]+"),
    (r"\b(?i:bearer|basic)\s+", r"(?=[\w.~+/-]*(?:[0-9=]|[a-z][A-Z]))[\w.~+/=-]{8,}"),
    # the signature in a URL of a cloud's storage
    (r"[?&](?i:sig|x-amz-signature|x-goog-signature)=", r"[^\s&\"']+"),
    # key=value and "key": "value" of a few telling names, AWS_SECRET_ACCESS_KEY among them
    (rf"(?i:{_NAMES})\\?[\"']?\s*[=:]\s*", rf"(?!\[REDACTED)(?!None\b|null\b){_VALUE}"),
)
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (*(f"(?P<kept>{before}){secret}" for before, secret in _PLACES), *_SHAPES)
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace secrets by ``[REDACTED]``.

    Args:
        text: What was said.
        secrets: Values that must not show, nor in the ways in which code quotes and encodes them;
            texts of fewer than four characters are left alone.

    Returns:
        The text without them, and without what looks like a token, a key or a password.
    """
    known = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    if known:
        longest_first = sorted(known, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), REDACTED, text)
    for pattern in _PATTERNS:
        text = pattern.sub(_redacted, text)
    return text


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, as a literal, as part of a URL and within base64."""
    octets = secret.encode(errors="replace")
    yield from (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
    yield from (quote(octets), quote(octets, safe=""), quote_plus(octets))
    # Base64 turns three octets into four characters, so it depends on what comes before, such as
    # the client id in basic authentication. Characters that neighbours have a share in are left.
    for before in range(3):
        first, last = -(-before * 4 // 3), (before + len(octets)) * 8 // 6
        form = base64.b64encode(bytes(before) + octets).decode()[first:last]
        if len(form) >= _SHORTEST_BASE64:
            yield from (form, form.replace("+", "-").replace("/", "_"))


def _redacted(found: re.Match[str]) -> str:
    return f"{found.groupdict().get('kept', '')}{REDACTED}"

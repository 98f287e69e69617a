"""No secret survives in what is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.redaction import redact


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("token dapi0123456789abcdef0123456789abcdef is bad", "0123456789abcdef"),
        ("AKIAABCDEFGHIJKLMNOP was refused", "ABCDEFGHIJKLMNOP"),
        ("could not connect to postgresql://me:hunter22@host/db", "hunter22"),
        ("connect(password='hunter22')", "hunter22"),
        ("{'AWS_SECRET_ACCESS_KEY': 'hunter22', 'A': 'b'}", "hunter22"),
        ("AWS_SESSION_TOKEN=hunter22", "hunter22"),
        ('{"client_secret": "hunter22", "a": 1}', "hunter22"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, hidden: str) -> None:
    shown = redact(text)
    assert hidden not in shown
    assert "[REDACTED]" in shown


@pytest.mark.parametrize(
    "text",
    [
        "ValueError: could not convert string to float: 'n/a'",
        "KeyError: 'token_count'",
        "FileNotFoundError: s3://bucket/country_subset/norway/0-hydro.csv",
        "https://host/?o=1#job/11/run/900",
    ],
)
def test_ordinary_errors_stay_readable(text: str) -> None:
    assert redact(text, ["secret-value"]) == text


@given(st.text(), st.text(), st.lists(st.text(min_size=4), min_size=1, max_size=3))
def test_a_known_secret_never_shows(before: str, after: str, secrets: list[str]) -> None:
    shown = redact(before + secrets[0] + after, secrets)
    assert secrets[0] not in shown.replace("[REDACTED]", "\0")

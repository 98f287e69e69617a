"""No secret survives in what is shown."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

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
        ("password: hunter22", "hunter22"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("Authorization: Bearer hunterabc", "hunterabc"),
        ("{'Authorization': 'Basic hunterabc'}", "hunterabc"),
        ("headers: Basic aHVudGVyMjI6aHVudGVyMjI=", "aHVudGVy"),
        ("sent Bearer hunter22hunter22", "hunter22"),
        ("password='hun,ter;22'", "ter;22"),
        ('password="hunter 22 and more"', "more"),
        ("{'password': 'hun\\'ter22'}", "ter22"),
        ('"{\\"password\\": \\"hunter22\\"}"', "hunter22"),
        ("password='hunter22", "hunter22"),
        ("git+https://ghp_0123456789@github.com/o/r.git", "0123456789"),
        ("git+https://hunter22:x-oauth-basic@github.com/o/r.git", "x-oauth-basic"),
        ("postgresql://me:hunter@22@host/db", "22@"),
        ("jdbc:x://host?user=a&password=hunter22&x=1", "hunter22"),
        ("DefaultEndpointsProtocol=https;AccountKey=hunter22==;EndpointSuffix=x", "hunter22"),
        ("https://account.blob.core.windows.net/c?sv=1&sig=hunter%2B22", "hunter"),
        ("https://bucket.s3.amazonaws.com/k?X-Amz-Signature=hunter22", "hunter22"),
        ("api_key=hunter22", "hunter22"),
        ("apiKey: 'hunter22'", "hunter22"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789 was refused", "abcdef"),
        ("account.key " + "aB1/" * 21 + "aB==", "aB1/"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter22\n-----END RSA PRIVATE KEY-----", "hunter22"),
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
        "http://localhost:4200/runs?to=me@host",
        "abfss://container@account.dfs.core.windows.net/norway/0-hydro.csv",
        "git+ssh://git@github.com/o/r.git",
        "git+https://git@github.com/o/r.git",
        "Basic authentication failed; Bearer authentication is required",
        "the token has expired, and the password is wrong",
        "connect(password=None)",
        "KeyError: 'primary_key' in monkey=1, keyboard: 2",
        "run 123456 of job 789: significance=0.05, design=3",
    ],
)
def test_ordinary_errors_stay_readable(text: str) -> None:
    assert redact(text, ["secret-value"]) == text


@pytest.mark.parametrize(
    "encoded",
    [
        repr,
        json.dumps,
        lambda secret: quote(secret, safe=""),
        lambda secret: urlencode({"x": secret}),
        lambda secret: base64.b64encode(f"id:{secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"id-2:{secret}\n".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(f"principal:{secret}".encode()).decode(),
    ],
)
def test_a_known_secret_does_not_show_in_another_form(encoded: Callable[[str], str]) -> None:
    secret = "Ab+/ '\\\n~?\u00ff?>?~ end"
    text = encoded(secret)
    shown = redact(text, [secret])
    # The ends may be the client id, or characters of base64 in which it has a share.
    assert "[REDACTED]" in shown
    assert text[len(text) // 2 - 3 : len(text) // 2 + 3] not in shown


@pytest.mark.parametrize(
    "part",
    [
        "password_a",
        "password ",
        'password="',
        "secret_",
        "eyJaaaaaaaa-",
        "eyJaaaaaaaa.",
        "://a:b",
        "https://a",
        "Basic ",
        "-----BEGIN PRIVATE KEY-----",
        "a+/B",
        "?sig=",
        "ghp_",
    ],
)
def test_the_time_grows_with_the_length_of_the_text(part: str) -> None:
    # Where it grew with its square, this took minutes.
    redact(part * 50_000)


@given(st.text(), st.text(), st.lists(st.text(min_size=4), min_size=1, max_size=3))
def test_a_known_secret_never_shows(before: str, after: str, secrets: list[str]) -> None:
    shown = redact(before + secrets[0] + after, secrets)
    assert secrets[0] not in shown.replace("[REDACTED]", "\0")

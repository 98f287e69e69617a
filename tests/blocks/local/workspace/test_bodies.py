"""Multipart bodies and page tokens."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.api import paging
from blocks.local.workspace.api.multipart import parse_form
from blocks.local.workspace.errors import ApiError


@given(
    st.binary(),
    st.text("abc/ é.", min_size=1),
    # The last one is what databricks-cli 0.18 says of each file.
    st.sampled_from(["application/octet-stream", "message/rfc822", "multipart/form-data"]),
)
def test_uploads_arrive_byte_for_byte(content: bytes, path: str, content_type: str) -> None:
    request = httpx.Request(
        "POST", "http://x", data={"path": path}, files={"content": ("name", content, content_type)}
    )
    parts = parse_form(request.headers["content-type"], request.read())
    assert parts == {"content": content, "path": path.encode()}


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("b", b""),
        ("b", b"nonsense"),
        ("b", b"--b\r\nContent-Disposition: form-data"),
        ("b", b"--b\r\nContent-Disposition: form-data\r\n--b--"),
        ("", b"----"),
        ('"', b"--b--"),
    ],
)
def test_broken_uploads_are_refused(boundary: str, body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_form(f"multipart/form-data; boundary={boundary}", body)
    assert refused.value.error_code == "MALFORMED_REQUEST"


@given(st.lists(st.integers(), max_size=12), st.lists(st.text(), max_size=5), st.integers(1, 4))
def test_pages_put_together_are_the_whole(left: list[int], right: list[str], size: int) -> None:
    arrays: dict[str, Sequence[object]] = {"left": left, "right": right}
    gathered: dict[str, list[object]] = {"left": [], "right": []}
    token: str | None = ""
    while token is not None:
        cut, token = paging.page(arrays, paging.decode(token), size)
        assert all(len(values) <= size for values in cut.values())
        for name, values in cut.items():
            gathered[name].extend(values)
    assert gathered == arrays


@pytest.mark.parametrize(
    "token", ["x", "ZnJvbTotMQ==", "é", "ZnJvbTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk="]
)
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(ApiError, match="page_token"):
        paging.decode(token)

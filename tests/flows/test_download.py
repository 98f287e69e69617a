"""Fetching sources, from a real web server on this machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.download import SourceUnavailableError, fetch, source_label
from flows.sources import SourceError

CONTENT = b"Entity,Code,Year,Hydro (% electricity)\nNorway,NOR,2000,99.5\n"


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        match path:
            case "/good.csv":
                self.answer(200, CONTENT, "text/csv")
            case "/page":
                self.answer(200, b"<html></html>", "text/html; charset=utf-8")
            case "/moved.csv":
                self.answer(302, b"", location="/good.csv")
            case "/loop.csv":
                self.answer(302, b"", location="/loop.csv")
            case "/elsewhere.csv":
                self.answer(302, b"", location="ftp://127.0.0.1/good.csv")
            case "/busy.csv":
                self.answer(503, b"")
            case "/cut.csv":
                self.answer(200, CONTENT, length=len(CONTENT) + 1)
            case _:
                self.answer(404, b"")

    def answer(
        self,
        status: int,
        body: bytes,
        content_type: str = "text/plain",
        *,
        location: str | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the base's name
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["good.csv", "moved.csv", "good.csv?v=1"])
def test_a_url_is_downloaded(site: str, tmp_path: Path, path: str) -> None:
    assert fetch(f"http://{site}/{path}", tmp_path).path.read_bytes() == CONTENT


def test_a_path_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "good.csv"
    path.write_bytes(CONTENT)
    file = fetch(str(path), tmp_path / "unused")
    assert (file.label, file.path) == (str(path), path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing.csv", "the server answered 404 Not Found; check the URL."),
        ("page", "this is a web page, not a CSV file; give the file's own URL."),
        ("loop.csv", "the server redirects without end; check the URL."),
        ("elsewhere.csv", "this is not a valid http(s) URL."),
    ],
)
def test_a_url_without_a_source_is_refused(
    site: str, tmp_path: Path, path: str, reason: str
) -> None:
    with pytest.raises(SourceError) as caught:
        fetch(f"http://{site}/{path}", tmp_path)
    assert str(caught.value) == f"http://{site}/{path}: {reason}"
    assert not isinstance(caught.value, SourceUnavailableError)


@pytest.mark.parametrize("path", ["busy.csv", "cut.csv"])
def test_a_server_in_trouble_may_be_asked_again(site: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceUnavailableError):
        fetch(f"http://{site}/{path}", tmp_path)


def test_a_server_that_is_not_there_may_be_asked_again(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="the download failed"):
        fetch("http://127.0.0.1:1/good.csv", tmp_path)


@pytest.mark.parametrize(
    "source",
    ["missing.csv", "", "nul\0byte", "x" * 5000, "http://[::1", "ftp://host/a.csv", "s3://b/a.csv"],
)
def test_what_is_no_file_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(SourceError):
        fetch(source, tmp_path)


def test_messages_hide_the_secrets_of_a_url(site: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        fetch(f"http://user:hush@{site}/nothing.csv?signature=hush", tmp_path)
    assert str(caught.value).startswith(f"http://{site}/nothing.csv: ")
    assert "hush" not in str(caught.value)


def test_a_label_is_one_printable_line() -> None:
    assert source_label("data/hydro.csv") == "data/hydro.csv"
    assert source_label("a\nb\x1b[31m.csv") == r"'a\nb\x1b[31m.csv'"

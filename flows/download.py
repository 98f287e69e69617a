"""Make a source readable on this machine: a path as it is, a URL by downloading it."""

import re
from pathlib import Path

import httpx

from flows.sources import SourceError, SourceFile

_TIMEOUT_SECONDS = 30
_MAX_BYTES = 1024**3
_CHUNK_BYTES = 256 * 1024


class SourceUnavailableError(SourceError):
    """A source could not be reached just now; the same request may succeed later."""


def source_label(source: str) -> str:
    """Return how messages show a source: on one line, and a URL without its secrets.

    The user part and the query of a URL are left out: both commonly carry credentials.
    """
    if "://" in source:
        source = re.sub("//[^/]*@", "//", source).partition("?")[0]
    return source if source.isprintable() else repr(source)


def fetch(source: str, folder: Path) -> SourceFile:
    """Make a source readable on this machine.

    Args:
        source: A path, which is used as it is, or an http(s) URL, which is downloaded.
        folder: Folder for the download.

    Raises:
        SourceUnavailableError: The server does not answer or is in trouble.
        SourceError: There is no such file, or what is there is not a CSV file.
    """
    label = source_label(source)
    if source.lower().startswith(("http://", "https://")):
        return SourceFile(label, _download(source, label, folder / "download.csv"))
    if "://" in source:
        raise SourceError(f"{label}: only a path or an http(s) URL can be read.")
    path = Path(source)
    try:
        exists = path.is_file()
    except (OSError, ValueError):  # no file can have such a name
        exists = False
    if not exists:
        raise SourceError(f"{label}: there is no such file; give a path or an http(s) URL.")
    return SourceFile(label, path)


def _download(url: str, label: str, path: Path) -> Path:
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as response:
            _check_response(label, response)
            _save(label, response, path)
    except httpx.TimeoutException:
        raise SourceUnavailableError(
            f"{label}: the server did not answer within {_TIMEOUT_SECONDS} s."
        ) from None
    except httpx.TooManyRedirects:
        raise SourceError(f"{label}: the server redirects without end; check the URL.") from None
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise SourceError(f"{label}: this is not a valid http(s) URL.") from None
    except httpx.HTTPError as error:
        raise SourceUnavailableError(f"{label}: the download failed ({error}).") from None
    return path


def _check_response(label: str, response: httpx.Response) -> None:
    status = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise SourceUnavailableError(f"{label}: {status}.")
    if not response.is_success:
        raise SourceError(f"{label}: {status}; check the URL.")
    if response.headers.get("content-type", "").lower().startswith("text/html"):
        raise SourceError(f"{label}: this is a web page, not a CSV file; give the file's own URL.")


def _save(label: str, response: httpx.Response, path: Path) -> None:
    size = 0
    with path.open("wb") as target:
        for chunk in response.iter_bytes(_CHUNK_BYTES):
            size += len(chunk)
            if size > _MAX_BYTES:
                raise SourceError(f"{label}: the file is larger than 1 GiB, which no source is.")
            target.write(chunk)

"""A notebook's Spark session, in which local paths mean what they mean to Spark.

Sail takes ``file:/data`` and ``dbfs:/data`` for relative paths: it writes below its own working
directory, and reads what is not there as no rows at all. A notebook would go on with nothing and
end green. So each path in a plan is checked before the plan is sent, and what is in DBFS becomes
the file that it is on this machine. Object storage is left to the engine, because a notebook has no
credentials to look there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # it has no types
import pyspark.sql.connect.proto as proto
from google.protobuf.message import Message  # type: ignore[import-untyped]  # it has no types
from pyspark.errors import AnalysisException
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from blocks.local.workspace.notebook.dbfs import dbfs_file, is_dbfs

# About a second: what does not answer on the loopback interface by then has ended. The client's own
# policy would keep the notebook waiting for ten minutes.
_RETRIES = 3
_SINGLE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/(?!/).*)")
_GLOB = re.compile(r"[*?\[{]")


def attach(remote: str, dbfs: Path) -> SparkSession:
    """Begin a session of one's own on a cluster.

    Args:
        remote: Its Spark Connect URL.
        dbfs: The folder that is ``dbfs:/``.
    """
    channel = DefaultChannelBuilder(remote)
    channel.add_interceptor(_PathInterceptor(dbfs))
    session = SparkSession.builder.channelBuilder(channel).create()
    session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
    return session


def engine_path(path: str, dbfs: Path) -> str:
    """Return a path as the engine understands it.

    Args:
        path: As the notebook gave it.
        dbfs: The folder that is ``dbfs:/``.

    Raises:
        AnalysisException: If the engine would take it for another one.
    """
    if is_dbfs(path):
        try:
            return f"file://{dbfs_file(dbfs, path)}"
        except ValueError as error:
            raise AnalysisException(str(error)) from None
    if match := _SINGLE_SLASH.fullmatch(path):
        scheme, absolute = match.groups()
        if scheme != "file":
            raise AnalysisException(
                f"The local workspace has no {scheme}: file system ({path}); "
                "use a path that starts with file:/, dbfs:/ or s3://."
            )
        return f"file://{absolute}"
    if "://" not in path and not path.startswith("/"):
        raise AnalysisException(f"Path {path!r} is not absolute; use one, or a URI.")
    return path


def input_path(path: str, dbfs: Path) -> str:
    """Return `engine_path` of a path that is read.

    Raises:
        AnalysisException: Also if it names a local file or folder that does not exist.
    """
    known = engine_path(path, dbfs)
    local = known.removeprefix("file://")
    if local.startswith("/") and not _GLOB.search(local) and not Path(local).exists():
        raise AnalysisException(f"[PATH_NOT_FOUND] Path does not exist: {path}")
    return known


class _PathInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]  # its class is Any
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]  # its class is Any
):
    """Checks the paths of each plan that is analysed or executed.

    Args:
        dbfs: The folder that is ``dbfs:/``.
    """

    def __init__(self, dbfs: Path) -> None:
        self._dbfs = dbfs

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: grpc.ClientCallDetails, request: Message
    ) -> Any:  # noqa: ANN401 - gRPC's call object
        _check_paths(request, self._dbfs)
        return continuation(details, request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: grpc.ClientCallDetails, request: Message
    ) -> Any:  # noqa: ANN401 - gRPC's call object
        _check_paths(request, self._dbfs)
        return continuation(details, request)


def _check_paths(request: Message, dbfs: Path) -> None:
    for part in _parts(request):
        if isinstance(part, proto.Read.DataSource):
            part.paths[:] = [input_path(path, dbfs) for path in part.paths]
        elif isinstance(part, proto.WriteOperation) and part.HasField("path"):
            part.path = engine_path(part.path, dbfs)


def _parts(message: Message) -> Iterator[Message]:
    """Yield a message and all messages in it."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        for field, value in part.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            waiting.extend([value] if isinstance(value, Message) else value)

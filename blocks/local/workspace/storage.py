"""S3 for ``dbutils.fs``, with the credentials of the workspace, which no notebook ever sees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from blocks.local.workspace.notebook.contract import StorageError, StoredObject

_MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey"})


class ObjectStorage:
    """Reads and writes objects at ``s3://bucket/key``.

    Args:
        make_client: Makes a boto3 client of S3; called when one is first needed.
    """

    def __init__(self, make_client: Callable[[], Any]) -> None:
        self._make_client = make_client
        self._made: Any = None

    @property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 makes its classes when it runs)
        if self._made is None:
            self._made = self._make_client()
        return self._made

    def list(self, uri: str, *, recurse: bool) -> tuple[StoredObject, ...]:
        """Return the objects and folders at or below a URI; those directly there, or all objects.

        Raises:
            KeyError: There is nothing.
            StorageError: The store cannot be read.
        """
        bucket, key = _parts(uri)
        prefix = f"{key.rstrip('/')}/" if key else ""
        with _errors(uri):
            found = list(self._page(bucket, prefix, "" if recurse else "/"))
            if not found and key:
                head = self._client.head_object(Bucket=bucket, Key=key)
                found = [_stored(bucket, key, head["ContentLength"], head["LastModified"])]
        if not found and key:
            raise KeyError(uri)
        return tuple(found)

    def read(self, uri: str, max_bytes: int | None) -> bytes:
        """Return the content of an object, or its beginning.

        Raises:
            KeyError: There is no such object.
            StorageError: The store cannot be read.
        """
        bucket, key = _parts(uri)
        with _errors(uri):
            content: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read(max_bytes)
            return content

    def write(self, uri: str, content: bytes) -> None:
        """Write an object.

        Raises:
            KeyError: There is no such bucket.
            StorageError: The store cannot be written.
        """
        bucket, key = _parts(uri)
        with _errors(uri):
            self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, uri: str) -> None:
        """Remove an object; it does no harm if there is none.

        Raises:
            KeyError: There is no such bucket.
            StorageError: The store cannot be written.
        """
        bucket, key = _parts(uri)
        with _errors(uri):
            self._client.delete_object(Bucket=bucket, Key=key)

    def _page(self, bucket: str, prefix: str, delimiter: str) -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, Delimiter=delimiter
        )
        for page in pages:
            for folder in page.get("CommonPrefixes", ()):
                yield StoredObject(f"s3://{bucket}/{folder['Prefix']}", 0, 0)
            for item in page.get("Contents", ()):
                if item["Key"] != prefix:
                    yield _stored(bucket, item["Key"], item["Size"], item["LastModified"])


def s3_client() -> Any:  # noqa: ANN401 (boto3 makes its classes when it runs)
    """Return a client of S3 for the ``AWS_*`` variables of this process."""
    # Imported here: most workspaces never need it, and it takes a while.
    import boto3

    return boto3.client("s3", region_name=os.environ.get("AWS_REGION"))


def _parts(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri, allow_fragments=False)
    if not parts.netloc:
        raise StorageError(f"{uri} names no bucket.")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return parts.netloc, path.lstrip("/")


def _stored(bucket: str, key: str, size: int, modified: Any) -> StoredObject:  # noqa: ANN401 (boto3's)
    return StoredObject(f"s3://{bucket}/{key}", size, int(modified.timestamp() * 1000))


@contextmanager
def _errors(uri: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise KeyError(uri) from None
        raise StorageError(f"{uri}: {error}") from None
    except BotoCoreError as error:
        raise StorageError(f"{uri}: {error}") from None

"""Tasks and helpers that touch object storage, through the block ``s3-bucket``."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect_aws.s3 import S3Bucket
from prefect_sqlalchemy import SqlAlchemyConnector

from flows.database import CountrySubset, read_subset
from flows.naming import slug

COUNTRY_SUBSET = "country_subset"
JOINED_DATA = "joined_data"
TRANSFORMED_DATA = "transformed_data"


class MissingResultError(ValueError):
    """The notebooks wrote nothing where their result is expected."""


@dataclass(frozen=True)
class RunFolders:
    """Where one run keeps its objects, so that two runs never see each other's.

    Attributes:
        country: The country of the run.
        run_key: The run's own key.
    """

    country: str
    run_key: str

    def key(self, stage: str) -> str:
        """Return the folder of a stage (``country_subset`` …) inside the bucket."""
        return f"{stage}/{slug(self.country)}/{self.run_key}"

    def job_parameters(self, bucket: str) -> dict[str, str]:
        """Return the job parameters that tell the notebooks where to read and write.

        Args:
            bucket: Name of the ``s3-bucket`` block.
        """
        block = S3Bucket.load(bucket)
        root = "/".join(filter(None, (block.bucket_name, block.bucket_folder.strip("/"))))
        return {
            "country": self.country,
            "subset_path": f"s3://{root}/{self.key(COUNTRY_SUBSET)}",
            "joined_path": f"s3://{root}/{self.key(JOINED_DATA)}",
            "transformed_path": f"s3://{root}/{self.key(TRANSFORMED_DATA)}",
        }


@task(task_run_name="export {subset.name}", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def export_subset(subset: CountrySubset, folders: RunFolders, database: str, bucket: str) -> str:
    """Write a country's rows of one source as a CSV file into the run's folder.

    Args:
        subset: The rows, in the database.
        folders: Where the run keeps its objects.
        database: Name of the ``sqlalchemy-connector`` block.
        bucket: Name of the ``s3-bucket`` block.

    Returns:
        The object's key.
    """
    with SqlAlchemyConnector.load(database) as connector:
        frame = read_subset(connector, subset)
    # The table's name tells apart two sources whose names have the same slug.
    name = f"{slug(subset.name)}-{slug(subset.table)[-12:]}.csv"
    key = f"{folders.key(COUNTRY_SUBSET)}/{name}"
    S3Bucket.load(bucket).write_path(key, frame.to_csv(index=False).encode())
    get_run_logger().info("Exported %d rows of %s to %s", len(frame), subset.name, key)
    return key


def read_folder(bucket: S3Bucket, key: str) -> pd.DataFrame:
    """Read a folder of CSV part files, as Spark writes one, into a frame.

    Raises:
        MissingResultError: The folder holds no rows.
    """
    parts = (bucket.read_path(found) for found in _keys(bucket, key) if found.endswith(".csv"))
    # Spark writes a part file for an empty partition, too; on some engines without a header.
    frames = [pd.read_csv(io.BytesIO(part)) for part in parts if part.strip()]
    if not any(len(frame) for frame in frames):
        raise MissingResultError(
            f"The notebooks left no rows in {key} of bucket {bucket.bucket_name!r}; open the "
            "Databricks run to see what they did."
        )
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def delete_folders(bucket: S3Bucket, keys: Iterable[str]) -> int:
    """Delete everything in some folders of the bucket, and return how many objects that was."""
    client = bucket.credentials.get_client("s3")
    found = [name for key in keys for name in _keys(bucket, key)]
    for name in found:
        client.delete_object(Bucket=bucket.bucket_name, Key=name)
    return len(found)


def _keys(bucket: S3Bucket, key: str) -> list[str]:
    # The slash keeps a folder from matching another whose name starts with its own.
    return sorted(str(item["Key"]) for item in bucket.list_objects(f"{key}/"))

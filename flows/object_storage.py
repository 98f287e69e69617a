"""Tasks that move data between the database and object storage (block ``s3-bucket``)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect_aws.s3 import S3Bucket
from prefect_sqlalchemy import SqlAlchemyConnector

from flows.connections import Connections
from flows.database import ONCE_A_RUN
from flows.naming import is_run_key, slug
from flows.result import check_report, check_result, upsert_result
from flows.temporary_tables import CountrySubset, read_subset

COUNTRY_SUBSET = "country_subset"
JOINED_DATA = "joined_data"
TRANSFORMED_DATA = "transformed_data"
STAGES = (COUNTRY_SUBSET, JOINED_DATA, TRANSFORMED_DATA)


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

    def job_parameters(self, bucket: S3Bucket) -> dict[str, str]:
        """Return the job parameters that tell the notebooks where to read and write."""
        root = "/".join(filter(None, (bucket.bucket_name, bucket.bucket_folder.strip("/"))))
        return {
            "country": self.country,
            "subset_path": f"s3://{root}/{self.key(COUNTRY_SUBSET)}",
            "joined_path": f"s3://{root}/{self.key(JOINED_DATA)}",
            "transformed_path": f"s3://{root}/{self.key(TRANSFORMED_DATA)}",
        }


# A flow names the assets of these tasks, by with_options(assets=[...]); see flows.lineage.
@materialize(
    f"s3://bucket/{COUNTRY_SUBSET}",
    task_run_name="export {subset.name}",
    cache_policy=ONCE_A_RUN,
    persist_result=True,
    retries=2,
    retry_delay_seconds=2,
)
def export_subset(
    subset: CountrySubset, index: int, folders: RunFolders, connections: Connections
) -> str:
    """Write a country's rows of one source as a CSV file into the run's folder.

    Args:
        subset: The rows, in the database.
        index: Which of the run's sources this is; two may have the same slug.
        folders: Where the run keeps its objects.
        connections: Names of the blocks.

    Returns:
        The object's key.
    """
    with SqlAlchemyConnector.load(connections.database) as connector:
        frame = read_subset(connector, subset)
    key = f"{folders.key(COUNTRY_SUBSET)}/{index}-{slug(subset.name)}.csv"
    connections.load_bucket().write_path(key, frame.to_csv(index=False).encode())
    get_run_logger().info("Exported %d rows of %s to %s", len(frame), subset.name, key)
    return key


@materialize(
    "postgresql://database/renewable_share",
    task_run_name="load result",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=2,
)
def load_result(
    exported: list[str], folders: RunFolders, reported: str, connections: Connections
) -> pd.DataFrame:
    """Load what the notebooks made into the table ``renewable_share``, once it is checked.

    Args:
        exported: Keys of the files that went in.
        folders: Where the run keeps its objects.
        reported: What `transform_data` gave to ``dbutils.notebook.exit``: JSON with ``rows`` and
            ``years`` (first and last).
        connections: Names of the blocks.

    Returns:
        The result by year: ``Year``, one column per source, ``SHW%``.

    Raises:
        MissingResultError: There is no result.
        ResultError: The result is not what the inputs, or the notebook's own words, say.
    """
    bucket = connections.load_bucket()
    frame = read_folder(bucket, folders.key(TRANSFORMED_DATA))
    frame = frame.sort_values("Year", ignore_index=True)
    check_report(frame, reported)
    check_result(frame, [_read_csv(bucket, key) for key in exported])
    with SqlAlchemyConnector.load(connections.database) as connector:
        rows = upsert_result(connector, folders.country, frame)
    get_run_logger().info("Loaded %d years of %s into renewable_share", rows, folders.country)
    return frame


def run_folders(bucket: S3Bucket) -> dict[str, set[str]]:
    """Return the folders that runs have in the bucket, by run key."""
    found: dict[str, set[str]] = {}
    for stage in STAGES:
        for name in _keys(bucket, stage):
            folder = name.rpartition("/")[0]
            key = folder.rpartition("/")[2]
            if is_run_key(key):
                found.setdefault(key, set()).add(folder[folder.index(stage) :])
    return found


def has_objects(bucket: S3Bucket, key: str, at_least: int = 1) -> bool:
    """Say whether a folder of the bucket holds anything, or as many objects as it has to."""
    return len(_keys(bucket, key)) >= at_least


def read_folder(bucket: S3Bucket, key: str) -> pd.DataFrame:
    """Read a folder of CSV part files, as Spark writes one, into a frame.

    Raises:
        MissingResultError: The folder holds no rows.
    """
    frames = [_read_csv(bucket, found) for found in _keys(bucket, key) if found.endswith(".csv")]
    if not any(len(frame) for frame in frames):
        raise MissingResultError(
            f"The notebooks left no rows in {key} of bucket {bucket.bucket_name!r}; open the "
            "Databricks run to see what they did."
        )
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _read_csv(bucket: S3Bucket, key: str) -> pd.DataFrame:
    content = cast(bytes, bucket.read_path(key))
    # Spark writes a part file for an empty partition, too; on some engines without a header.
    if not content.strip():
        return pd.DataFrame()
    return pd.read_csv(io.BytesIO(content), float_precision="round_trip")


def delete_folders(bucket: S3Bucket, keys: Iterable[str]) -> int:
    """Delete everything in some folders of the bucket, and return how many objects that was."""
    client = bucket.credentials.get_client("s3")
    found = [name for key in keys for name in _keys(bucket, key)]
    for name in found:
        client.delete_object(Bucket=bucket.bucket_name, Key=name)
    return len(found)


def _keys(bucket: S3Bucket, key: str) -> list[str]:
    # The slash keeps a folder from matching another whose name starts with its own.
    listing = cast(list[dict[str, Any]], bucket.list_objects(f"{key}/"))
    return sorted(item["Key"] for item in listing)

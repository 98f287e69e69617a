"""Runs the flow in this process, and looks at what has become of it."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pandas as pd
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort
from prefect.flow_engine import run_flow
from prefect.states import Scheduled
from prefect_sqlalchemy import SqlAlchemyConnector

from flows.connections import Connections
from flows.databricks import DatabricksRunFailedError
from flows.naming import run_key
from flows.renewable_analysis import renewable_analysis
from flows.temporary_tables import run_tables


def analyse(
    connections: Connections, folder: Path, country: str = "Norway", **parameters: Any
) -> State[Any]:
    """Run the flow; its output goes to the folder `out` in another one."""
    return cast(
        State[Any],
        renewable_analysis(
            country,
            connections=connections,
            output=str(folder / "out"),
            return_state=True,
            **parameters,
        ),
    )


def retry(state: State[Any], **changes: Any) -> State[Any]:
    """Run a failed flow run again, as the button in the UI and the worker do."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id(state), Scheduled(name="AwaitingRetry"), force=True)
        again = client.read_flow_run(flow_run_id(state))
    return cast(
        State[Any],
        run_flow(
            renewable_analysis,
            flow_run=again,
            parameters={**again.parameters, **changes},
            return_type="state",
        ),
    )


def job_failure(state: State[Any]) -> DatabricksRunFailedError:
    """Return the error of a flow run whose job run has failed."""
    error = state.result(raise_on_failure=False)
    assert isinstance(error, DatabricksRunFailedError)
    return error


def expected(country: str, paths: Iterable[Path]) -> dict[int, dict[str, float | None]]:
    """Work the result out again, with nothing but the csv module."""
    years: dict[int, dict[str, float | None]] = {}
    columns = []
    for path in paths:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                column = next(name for name in row if name.endswith("(% electricity)"))
                if row["Entity"] == country:
                    share = row[column]
                    years.setdefault(int(row["Year"]), {})[column] = float(share) if share else None
        columns.append(column)
    for shares in years.values():
        parts = [shares.setdefault(column, None) for column in columns]
        known = [part for part in parts if part is not None]
        shares["SHW%"] = round(sum(known), 6) if len(known) == len(parts) else None
    return dict(sorted(years.items()))


def as_years(frame: pd.DataFrame) -> dict[int, dict[str, float | None]]:
    return {
        int(record["Year"]): {
            str(column): None if pd.isna(value) else float(value)
            for column, value in record.items()
            if column != "Year"
        }
        for record in frame.to_dict("records")
    }


def flow_run_id(state: State[Any]) -> UUID:
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id


def artifacts(run_id: UUID) -> dict[str, str]:
    """Return what a flow run published, the newest of each key."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id])),
            sort=ArtifactSort.CREATED_DESC,
        )
    return {str(each.key): str(each.data) for each in reversed(found)}


def objects_of(state: State[Any], connections: Connections) -> list[str]:
    listing = (
        connections.load_bucket()
        .credentials.get_client("s3")
        .list_objects_v2(Bucket=connections.load_bucket().bucket_name)
    )
    key = run_key(flow_run_id(state))
    return [item["Key"] for item in listing.get("Contents", []) if key in item["Key"]]


def tables_of(state: State[Any], connections: Connections) -> list[str]:
    with SqlAlchemyConnector.load(connections.database) as connector:
        return run_tables(connector).get(run_key(flow_run_id(state)), [])

"""The flow from end to end, on the embedded stack."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from prefect.client.schemas.objects import TaskRun
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.databricks import RepairPolicy, RunState, TaskAttempt, make_receipt
from flows.connections import Connections
from flows.naming import slug
from flows.renewable_analysis import Analysis
from flows.result import read_result
from flows.sample import SAMPLE
from tests.flows.analyses import (
    analyse,
    artifacts,
    as_years,
    expected,
    flow_run_id,
    job_failure,
    objects_of,
    tables_of,
)
from tests.flows.conftest import events, task_runs

Ask = Callable[[str], dict[str, Any]]


# Middle East has no code, and a year that only one source has.
@pytest.mark.parametrize("country", ["Switzerland", "Cote d'Ivoire", "Middle East"])
def test_the_result_is_right_and_nothing_else_is_left(
    country: str, connections: Connections, tmp_path: Path, databricks: Ask
) -> None:
    state = analyse(connections, tmp_path, country)
    assert state.name == "Completed"
    analysis = state.result()
    assert isinstance(analysis, Analysis)

    wanted = expected(country, SAMPLE)
    assert analysis.years == tuple(wanted)
    assert as_years(pd.read_csv(analysis.data, float_precision="round_trip")) == wanted
    with SqlAlchemyConnector.load(connections.database) as connector:
        assert as_years(read_result(connector, country)) == wanted
    assert analysis.chart.read_bytes().startswith(b"\x89PNG")

    check_lineage(flow_run_id(state), country, analysis.chart)
    report = artifacts(flow_run_id(state))[f"renewable-share-{slug(country)}"]
    assert report.startswith(f"# {country}: ")
    assert analysis.databricks.run_page_url in report

    assert objects_of(state, connections) == []
    assert tables_of(state, connections) == []
    run = databricks(f"2.2/jobs/runs/get?run_id={analysis.databricks.run_id}")
    assert len(run["job_clusters"]) == 1
    assert [attempt.attempt_number for attempt in analysis.databricks.attempts] == [0, 0]


def check_lineage(run_id: UUID, country: str, chart: Path) -> None:
    """Check that sources lead to subsets, those to the table, and that to the chart."""
    made: dict[str, set[str]] = {}
    for event in events(run_id, "prefect.asset.materialization.succeeded", 5):
        upstream = {each.id for each in event.related if each.role == "asset"}
        made.setdefault(event.resource.id, set()).update(upstream)
    (subsets,) = (key for key in made if key.startswith("s3://"))
    (table,) = (key for key in made if key.startswith("postgresql://"))
    assert subsets.endswith(f"/country_subset/{slug(country)}")
    assert table.endswith("/renewable_share")
    assert made == {
        subsets: {path.as_uri() for path in SAMPLE},
        table: {subsets},
        f"file://{chart}": {table},
    }


def test_a_failed_task_is_repaired_alone(
    failing: Callable[..., Connections], tmp_path: Path
) -> None:
    connections = failing(transform_data=1)
    state = analyse(connections, tmp_path)
    assert (state.name, state.message) == ("Repaired", "Run again on Databricks: transform_data")
    analysis = state.result()
    assert isinstance(analysis, Analysis)
    run = analysis.databricks
    assert run.repairs == 1
    attempts = sorted((a.task_key, a.attempt_number, a.status.result_state) for a in run.attempts)
    assert attempts == [
        ("join_data", 0, "SUCCESS"),
        ("transform_data", 0, "FAILED"),
        ("transform_data", 1, "SUCCESS"),
    ]

    shown = task_runs(flow_run_id(state))
    on_databricks = ("join_data", "transform_data", "repair")
    assert [(t.name, t.state_name) for t in shown if t.name in on_databricks] == [
        ("join_data", "Completed"),
        ("transform_data", "Failed"),
        ("repair", "Completed"),
        ("transform_data", "Completed"),
    ]
    by_name = {(t.name, t.state_name): t for t in shown}
    red, green = by_name["transform_data", "Failed"], by_name["transform_data", "Completed"]
    repair = by_name["repair", "Completed"]
    assert red.state is not None
    assert "RuntimeError: made to fail, 1 to go" in str(red.state.message)
    assert red.id in upstream(repair)
    assert repair.id in upstream(green)

    story = artifacts(flow_run_id(state))
    failed, _ = attempts_of(run, "transform_data")
    error = story[f"databricks-error-{failed.run_id}"]
    assert "Traceback" in error
    assert "raise RuntimeError(f'made to fail, {left} to go')" in error
    assert error.endswith(failed.run_page_url)
    table = json.loads(story[f"databricks-tasks-{run.run_id}"])
    assert [(row["task"], row["state"]) for row in table] == [
        ("join_data", "succeeded"),
        ("transform_data", "failed"),
        ("transform_data", "succeeded"),
    ]
    assert make_receipt(run).as_markdown() in story[f"databricks-receipt-{run.run_id}"]
    assert run.run_page_url in story[f"databricks-run-{run.run_id}"]


def attempts_of(run: RunState, task_key: str) -> list[TaskAttempt]:
    found = [each for each in run.attempts if each.task_key == task_key]
    return sorted(found, key=lambda each: each.attempt_number)


def upstream(task_run: TaskRun) -> list[object]:
    return [getattr(each, "id", None) for each in task_run.task_inputs["wait_for"]]


@pytest.mark.slow
def test_the_victims_of_a_failure_are_repaired_with_it(
    failing: Callable[..., Connections], tmp_path: Path
) -> None:
    state = analyse(failing(join_data=1), tmp_path)
    assert state.name == "Repaired"
    assert state.message == "Run again on Databricks: join_data, transform_data"
    names = [(t.name, t.state_name) for t in task_runs(flow_run_id(state))]
    assert ("transform_data", "Skipped") in names
    assert ("transform_data", "Completed") in names


def test_what_a_repair_needs_stays_after_a_failure(
    failing: Callable[..., Connections], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connections = failing(transform_data=9)
    policy = RepairPolicy(max_repairs=1, price_per_hour=36)
    with caplog.at_level(logging.INFO, "prefect.flow_runs"):
        state = analyse(connections, tmp_path, repair=policy)
    assert state.is_failed()
    error = job_failure(state)
    reason = "1 repair did not help, and max_repairs allows no more"
    assert f"ended as failed and was not repaired again: {reason}. " in str(error)
    assert "transform_data failed: RuntimeError: made to fail, 8 to go" in str(error)
    assert error.state.run_page_url in str(error)
    assert error.state.repairs == 1

    # A repair that did not help has its price as well.
    receipt = make_receipt(error.state, 36)
    assert receipt.saved_seconds > 0
    story = artifacts(flow_run_id(state))
    assert receipt.as_markdown() in story[f"databricks-receipt-{error.state.run_id}"]
    assert f"{receipt.as_sentence()} {error.state.run_page_url}" in caplog.messages

    stages = {key.split("/")[0] for key in objects_of(state, connections)}
    assert stages == {"country_subset", "joined_data"}
    assert tables_of(state, connections) == []
    (event,) = events(flow_run_id(state), "databricks.run.failed", 1)
    assert event.resource.id == f"databricks.run.{error.state.run_id}"
    assert str(event.resource.name).endswith(f": run {error.state.run_id}")
    assert event.payload["outcome"] == "failed"
    assert event.payload["reason"] == reason
    assert event.payload["failed_tasks"] == [
        {
            "task_key": "transform_data",
            "attempt_number": 1,
            "failure_class": "user code",
            "error": "RuntimeError: made to fail, 8 to go",
        }
    ]
    assert not (tmp_path / "out").exists()
    assert all(t.state and t.state.is_final() for t in task_runs(flow_run_id(state)))


@pytest.mark.parametrize("sources", [[], [str(SAMPLE[0])]], ids=["sample", "given"])
def test_an_unknown_country_never_reaches_databricks(
    connections: Connections, tmp_path: Path, databricks: Ask, sources: list[str]
) -> None:
    before = databricks("2.2/jobs/runs/list?limit=25").get("runs")
    state = analyse(connections, tmp_path, "Switzerlnd';--", sources=sources)
    assert state.is_failed()
    assert "Did you mean Switzerland" in str(state.result(raise_on_failure=False))
    # What the sample has is known without loading it.
    assert bool(task_runs(flow_run_id(state))) == bool(sources)
    assert databricks("2.2/jobs/runs/list?limit=25").get("runs") == before
    assert objects_of(state, connections) == []
    assert tables_of(state, connections) == []


def test_a_bad_source_is_one_sentence_and_leaves_nothing(
    connections: Connections, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("Entity,Code,Year,Tidal (% electricity)\nNorway,NOR,2000,101\n")
    state = analyse(connections, tmp_path, sources=[str(SAMPLE[0]), str(bad)])
    assert state.is_failed()
    assert f"{bad}, line 2: " in str(state.result(raise_on_failure=False))
    assert tables_of(state, connections) == []


def test_intermediate_data_is_kept_on_request(connections: Connections, tmp_path: Path) -> None:
    state = analyse(connections, tmp_path, keep_intermediate=True)
    stages = {key.split("/")[0] for key in objects_of(state, connections)}
    assert stages == {"country_subset", "joined_data", "transformed_data"}
    assert len(tables_of(state, connections)) == 6

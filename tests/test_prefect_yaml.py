"""Every entry of prefect.yaml can be deployed, and holds names only."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

PROJECT = Path(__file__).resolve().parents[1]
CONTENT = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = CONTENT["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each["name"])
def test_the_flow_loads_and_takes_the_parameters(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    # What a run has to be told is not in the file.
    required = {"run_id": 1} if deployment["name"] == "repair" else {}
    flow.validate_parameters({**required, **deployment["parameters"]})
    assert deployment["description"]
    assert deployment["enforce_parameter_schema"] is True


def test_the_names_that_others_rely_on() -> None:
    found = {
        f"{load_flow_from_entrypoint(str(PROJECT / each['entrypoint'])).name}/{each['name']}"
        for each in DEPLOYMENTS
    }
    assert found == {
        "renewable-analysis/country",
        "repair-databricks-run/repair",
        "sweep/housekeeping",
    }


def test_every_schedule_has_a_slug() -> None:
    # Without one, deploying again would wake up a schedule that somebody has paused.
    for deployment in DEPLOYMENTS:
        assert all(schedule["slug"] for schedule in deployment.get("schedules", []))


def test_no_value_of_a_block_is_templated_into_a_deployment() -> None:
    assert "{{" not in (PROJECT / "prefect.yaml").read_text()

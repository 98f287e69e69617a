"""Every entry of prefect.yaml can be deployed, and holds names only."""

import inspect
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, PrefectYamlModel
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from pydantic import BaseModel

PROJECT = Path(__file__).resolve().parents[1]
CONTENT = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = CONTENT["deployments"]
TRIGGERS = [trigger for each in DEPLOYMENTS for trigger in each.get("triggers", [])]
# What a run has to be told is not in the file.
REQUIRED: dict[str, dict[str, Any]] = {"country": {"country": "Norway"}, "repair": {"run_id": 1}}


def unknown_fields(given: dict[str, Any], model: type[BaseModel]) -> set[str]:
    return set(given) - set(model.model_fields)


@pytest.fixture(params=DEPLOYMENTS, ids=lambda each: each["name"])
def deployment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One entry, with the project as current directory, for its relative entrypoint."""
    monkeypatch.chdir(PROJECT)
    entry: dict[str, Any] = request.param
    return entry


def test_prefect_reads_the_entry_and_ignores_nothing_in_it(deployment: dict[str, Any]) -> None:
    # Prefect leaves out what it does not know, such as a word that is misspelt.
    PrefectYamlModel.model_validate({"deployments": [deployment]})
    assert not unknown_fields(deployment, DeploymentConfig)
    assert not unknown_fields(deployment["concurrency_limit"], ConcurrencyLimitSpec)
    for trigger in deployment.get("triggers", []):
        DeploymentEventTrigger.model_validate(trigger)
        assert not unknown_fields(trigger, DeploymentEventTrigger)


def test_the_flow_takes_the_parameters(deployment: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    schema = parameter_schema(flow).model_dump_for_openapi()
    required = REQUIRED.get(deployment["name"], {})
    assert list(required) == schema.get("required", [])
    defaults = deployment.get("parameters", {})
    schedules = [each.get("parameters") for each in deployment.get("schedules", [])]
    for given in (required, *filter(None, schedules)):
        validate(defaults | given, schema, raise_on_error=True)
        flow.validate_parameters(defaults | given)


def test_what_every_deployment_has(deployment: dict[str, Any]) -> None:
    assert deployment["version"] == version("renewables")
    assert deployment["description"]
    assert deployment["tags"]
    assert deployment["work_pool"]["name"] == "renewables"
    heartbeats = deployment["work_pool"]["job_variables"]["env"]
    assert heartbeats == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    assert deployment["enforce_parameter_schema"] is True
    assert set(deployment["concurrency_limit"]) == {"limit", "collision_strategy"}
    assert all(schedule["slug"] for schedule in deployment.get("schedules", []))


def test_the_form_explains_every_parameter(deployment: dict[str, Any]) -> None:
    schema = parameter_schema(load_flow_from_entrypoint(deployment["entrypoint"]))
    models = [model for model in schema.definitions.values() if model["type"] == "object"]
    for fields in (schema.properties, *(model["properties"] for model in models)):
        for name, field in fields.items():
            assert field["description"], name
            # A nested model's title is that of its class, unless the field has one of its own.
            shown = schema.definitions.get(field.get("$ref", "").rpartition("/")[2], {}) | field
            assert shown["title"].istitle() or " " in shown["title"], name
    assert all(model["additionalProperties"] is False for model in models)


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


def test_nothing_but_housekeeping_runs_by_itself() -> None:
    active = [
        each["name"]
        for each in DEPLOYMENTS
        for item in (*each.get("schedules", []), *each.get("triggers", []))
        if item.get("active", item.get("enabled", True))
    ]
    assert set(active) == {"housekeeping"}


def test_a_sweep_after_a_crash_comes_when_its_grace_is_over() -> None:
    (trigger,) = [each for each in TRIGGERS if "prefect.flow-run.Crashed" in each["expect"]]
    sweep: Flow[..., Any] = load_flow_from_entrypoint(f"{PROJECT}/flows/sweep.py:sweep")
    grace = inspect.signature(sweep.fn).parameters["grace_minutes"].default
    assert timedelta(seconds=trigger["schedule_after"]) > timedelta(minutes=grace)


def test_no_value_of_a_block_is_templated_into_a_deployment() -> None:
    # Those of a trigger are filled in when it fires.
    text = yaml.safe_dump([{**each, "triggers": []} for each in DEPLOYMENTS])
    assert "{{" not in text
    for trigger in TRIGGERS:
        for value in trigger.get("parameters", {}).values():
            assert value.startswith("{{ event.payload.")

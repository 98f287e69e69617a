"""What the flows accept, and how a country is refused that nobody knows."""

from typing import Any

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError

from flows.countries import SAMPLE_COUNTRIES, UnknownCountryError, check_in_sample
from flows.renewable_analysis import renewable_analysis
from flows.repair_databricks_run import repair_databricks_run
from flows.sweep import sweep

BAD: list[tuple[Flow[..., Any], dict[str, Any], str]] = [
    (renewable_analysis, {}, "country"),
    (renewable_analysis, {"country": ""}, "country"),
    (renewable_analysis, {"country": " "}, "country"),
    (renewable_analysis, {"country": "Norway", "sources": [""]}, "sources"),
    (renewable_analysis, {"country": "Norway", "output": ""}, "output"),
    (renewable_analysis, {"country": "Norway", "repair": {"max_repairs": -1}}, "max_repairs"),
    (renewable_analysis, {"country": "Norway", "repair": {"max_repair": 1}}, "repair"),
    (renewable_analysis, {"country": "Norway", "connections": {"bukket": "x"}}, "connections"),
    (renewable_analysis, {"country": "Norway", "connections": {"bucket": ""}}, "bucket"),
    (repair_databricks_run, {"run_id": 0}, "run_id"),
    (repair_databricks_run, {"run_id": 1, "tasks": [" "]}, "tasks"),
    (sweep, {"grace_minutes": -1}, "grace_minutes"),
]


@pytest.mark.parametrize(("flow", "parameters", "named"), BAD)
def test_a_bad_value_is_refused_by_the_api_and_by_the_flow(
    flow: Flow[..., Any], parameters: dict[str, Any], named: str
) -> None:
    schema = parameter_schema(flow).model_dump_for_openapi()
    with pytest.raises(ValidationError, match=named):
        validate(parameters, schema, raise_on_error=True)
    with pytest.raises((ParameterTypeError, SignatureMismatchError), match=named):
        flow.validate_parameters(parameters)


def test_a_parameter_that_there_is_not_is_refused_by_the_flow() -> None:
    with pytest.raises(SignatureMismatchError, match="coutry"):
        renewable_analysis.validate_parameters({"country": "Norway", "coutry": "Sweden"})


@pytest.mark.parametrize("country", [*SAMPLE_COUNTRIES, "Spain", "Côte d'Ivoire", "'; --"])
def test_a_country_is_chosen_from_the_sample_or_typed(country: str) -> None:
    schema = parameter_schema(renewable_analysis).model_dump_for_openapi()
    validate({"country": country}, schema, raise_on_error=True)
    renewable_analysis.validate_parameters({"country": country})


def test_the_sample_is_looked_through_before_anything_is_loaded() -> None:
    for country in SAMPLE_COUNTRIES:
        check_in_sample(country)
    with pytest.raises(UnknownCountryError, match=r"'Norwai'\. Did you mean Norway"):
        check_in_sample("Norwai")

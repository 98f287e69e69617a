"""The policy as a parameter of a flow: its form, its defaults, what it refuses."""

import pytest
from prefect import flow
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from blocks.databricks import FailureClass, RepairPolicy
from blocks.databricks.failures import TERMINATION_CODES


@flow
def repairs(repair: RepairPolicy = RepairPolicy()) -> None:  # noqa: B008  # as flows have it
    pass


def test_the_form_explains_every_field_in_order() -> None:
    form = parameter_schema(repairs).definitions["RepairPolicy"]["properties"]
    assert list(form) == sorted(form, key=lambda name: form[name]["position"])
    assert {field["position"] for field in form.values()} == set(range(len(form)))
    for name, field in form.items():
        assert field["description"].endswith("."), name
        assert "default" in field, name
        assert "anyOf" not in field, name


def test_the_form_shows_what_an_override_would_replace() -> None:
    text = str(RepairPolicy.model_fields["failure_classes"].description)
    *rows, rest = text.split("Otherwise: ")[1].split("; ")
    table = {code: row.split(": ")[0] for row in rows for code in row.split(": ")[1].split(", ")}
    known = {code: it for code, it in TERMINATION_CODES.items() if it is not FailureClass.UNKNOWN}
    assert table == known
    assert rest == "unknown: all else, which is treated as user code."


def test_a_policy_keeps_its_values_through_the_api() -> None:
    policy = RepairPolicy(max_repairs=3)
    assert RepairPolicy.model_validate(policy.model_dump(mode="json")) == policy


def test_budgets_that_are_given_are_kept() -> None:
    assert RepairPolicy(max_repairs=7).user_code_repairs == 7
    given = RepairPolicy(max_repairs=7, infrastructure_repairs=2)
    assert (given.infrastructure_repairs, given.user_code_repairs) == (2, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_repairs": -1},
        {"max_repairs": 21},
        {"delay_growth": 0.5},
        {"delay_jitter": 2},
        {"when_exhausted": "cry"},
        {"failure_classes": {"DRIVER_ERROR": "bad luck"}},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RepairPolicy.model_validate(wrong)


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RepairPolicy().max_repairs = 5  # type: ignore[misc]  # the point of the test

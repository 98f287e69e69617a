"""The policy as a parameter of a flow: its form, its defaults, what it refuses."""

import pytest
from prefect import flow
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from blocks.databricks import FailureClass, RepairPolicy
from blocks.databricks.failures import RESULT_STATES, TERMINATION_CODES


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
    known = TERMINATION_CODES.items() | RESULT_STATES.items()
    assert table == {name: it for name, it in known if it is not FailureClass.UNKNOWN}
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


@pytest.mark.parametrize("name", sorted(TERMINATION_CODES.keys() | RESULT_STATES.keys()))
def test_a_slip_in_the_name_of_a_failure_is_seen(name: str) -> None:
    slips = {name.lower(), name.capitalize()}
    for at, letter in enumerate(name):
        slips |= {name[:at] + name[at + 1 :], name[:at] + "X" + name[at:]}
        slips |= {name[:at] + "X" + name[at + 1 :], name[:at] + letter + name[at:]}
    for slip in slips - {name}:
        with pytest.raises(ValidationError, match=rf"'{slip}' is no .*; did you mean {name}\?"):
            RepairPolicy(failure_classes={slip: FailureClass.USER_CODE})


@pytest.mark.parametrize("name", ["driver lost", "", "Infrastructure", "42"])
def test_what_cannot_be_the_name_of_a_failure_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is no termination code and no result st"):
        RepairPolicy(failure_classes={name: FailureClass.USER_CODE})


@pytest.mark.parametrize("new", sorted(TERMINATION_CODES.keys() | RESULT_STATES.keys()))
def test_a_name_that_databricks_adds_is_taken(new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {**TERMINATION_CODES, **RESULT_STATES}
    del before[new]
    monkeypatch.setattr("blocks.databricks.policy.FAILURES", before)
    policy = RepairPolicy(failure_classes={new: FailureClass.INFRASTRUCTURE})
    assert policy.failure_classes == {new: FailureClass.INFRASTRUCTURE}


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RepairPolicy().max_repairs = 5  # type: ignore[misc]  # the point of the test

"""Whose fault a failure is: every code, every result, and values that nobody has seen."""

import pytest
from databricks.sdk.service.jobs import TerminationCodeCode, TerminationTypeType
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import FailureClass, Outcome, Status, Symptom, classify
from blocks.databricks.failures import TERMINATION_CODES, symptom
from tests.blocks.databricks.runs import CANCELLED, CLOUD, DENIED, RAISED, STRANGE, failed_with


def test_the_table_covers_every_code_of_databricks() -> None:
    documented_only = {"CLUSTER_TERMINATED_BY_USER"}  # not yet a member of the SDK's enum
    listed = {code.value for code in TerminationCodeCode}
    assert set(TERMINATION_CODES) == listed | documented_only


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (CLOUD, FailureClass.INFRASTRUCTURE),
        (RAISED, FailureClass.USER_CODE),
        (DENIED, FailureClass.CONFIGURATION),
        (CANCELLED, FailureClass.CANCELLED),
        (STRANGE, FailureClass.UNKNOWN),
        (failed_with("CLUSTER_REQUEST_LIMIT_EXCEEDED"), FailureClass.INFRASTRUCTURE),
        (failed_with("BUDGET_POLICY_LIMIT_EXCEEDED"), FailureClass.CONFIGURATION),
        (Status(Outcome.CANCELED, "TERMINATED", "CANCELED"), FailureClass.CANCELLED),
        (Status(Outcome.TIMED_OUT, "TERMINATED", "TIMEDOUT"), FailureClass.USER_CODE),
        (Status(Outcome.TIMED_OUT, "TERMINATED", "TIMEDOUT", "CANCELED"), FailureClass.USER_CODE),
        (Status(Outcome.FAILED, "TERMINATED", "EVICTED"), FailureClass.INFRASTRUCTURE),
        (Status(Outcome.FAILED, "TERMINATED", "FAILED"), FailureClass.UNKNOWN),
        (
            Status(Outcome.SKIPPED, "SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED"),
            FailureClass.CONFIGURATION,
        ),
        (
            Status(Outcome.FAILED, "TERMINATED", "", "", "CLOUD_FAILURE"),
            FailureClass.INFRASTRUCTURE,
        ),
        (Status(Outcome.FAILED, "TERMINATED", "", "", "CLIENT_ERROR"), FailureClass.USER_CODE),
        (Status(Outcome.FAILED), FailureClass.UNKNOWN),
    ],
)
def test_the_code_decides_then_the_type_then_the_result(
    status: Status, expected: FailureClass
) -> None:
    assert classify(status, "") is expected


@pytest.mark.parametrize(
    "error",
    [
        "java.lang.OutOfMemoryError: Java heap space",
        "MemoryError: Unable to allocate 8.00 GiB",
        "torch.OutOfMemoryError: CUDA out of memory.",
        "GC overhead limit exceeded",
        "Container killed by YARN for exceeding memory limits.",
        "Executor exited with exit code 137",
        "The driver was stopped: DRIVER_OUT_OF_MEMORY",
    ],
)
def test_too_little_memory_is_the_notebooks_own(error: str) -> None:
    for status in (RAISED, failed_with("DRIVER_ERROR")):
        assert symptom(status, error) is Symptom.OUT_OF_MEMORY
        assert classify(status, error) is FailureClass.USER_CODE


@pytest.mark.parametrize(
    "error",
    [
        "Cluster terminated. Reason: SPOT_INSTANCE_TERMINATION",
        "ExecutorLostFailure: the spot instance was terminated by the cloud provider",
        "Spot VM of the worker was evicted",
        "Worker instance terminated due to spot instance reclaim",
        "The node was preempted",
        "DRIVER_EVICTION",
    ],
)
def test_a_lost_spot_instance_is_the_clouds(error: str) -> None:
    assert symptom(RAISED, error) is Symptom.SPOT_LOSS
    assert classify(RAISED, error) is FailureClass.INFRASTRUCTURE
    assert classify(failed_with("RUN_EXECUTION_ERROR", error), "") is FailureClass.INFRASTRUCTURE


@pytest.mark.parametrize(
    "error",
    ["KeyError: 'spot price'", "ValueError: memory of 3 years", "FileNotFoundError: spot.csv", ""],
)
def test_ordinary_errors_have_no_symptom(error: str) -> None:
    assert symptom(RAISED, error) is Symptom.NONE


def test_no_text_makes_a_wrong_configuration_worth_repeating() -> None:
    assert classify(DENIED, "spot instance was terminated") is FailureClass.CONFIGURATION


def test_the_user_knows_better_but_not_about_a_cancelled_run() -> None:
    overrides = {
        "LIBRARY_INSTALLATION_ERROR": FailureClass.INFRASTRUCTURE,
        "RUN_EXECUTION_ERROR": FailureClass.CONFIGURATION,
        "USER_CANCELED": FailureClass.INFRASTRUCTURE,
    }
    library = failed_with("LIBRARY_INSTALLATION_ERROR")
    assert classify(library, "", overrides) is FailureClass.INFRASTRUCTURE
    assert classify(RAISED, "MemoryError", overrides) is FailureClass.CONFIGURATION
    assert classify(CANCELLED, "", overrides) is FailureClass.CANCELLED


@given(
    st.sampled_from(Outcome),
    st.text(max_size=10),
    st.sampled_from([code.value for code in TerminationCodeCode]) | st.text(max_size=10),
    st.sampled_from([kind.value for kind in TerminationTypeType]) | st.text(max_size=10),
    st.text(max_size=40),
)
def test_every_failure_has_one_class(
    outcome: Outcome, result: str, code: str, kind: str, text: str
) -> None:
    found = classify(Status(outcome, "TERMINATED", result, code, kind, text), text)
    assert isinstance(found, FailureClass)
    if outcome is Outcome.CANCELED:
        assert found is FailureClass.CANCELLED

"""Whose fault a failure is: every code, every result, and values that nobody has seen."""

import pytest
from databricks.sdk.service.jobs import TerminationCodeCode, TerminationTypeType
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import FailureClass, Outcome, Status, Symptom, classify
from blocks.databricks.failures import TERMINATION_CODES, symptom
from tests.blocks.databricks.runs import CANCELLED, CLOUD, DENIED, RAISED, STRANGE, failed_with

# Databricks' own words for each code, in short, sorted by what the design says about such failures.
BY_CLASS = {
    # Cloud, cluster, driver, storage, rate limit, internal.
    FailureClass.INFRASTRUCTURE: {
        "CLOUD_FAILURE": "failed due to a cloud provider issue",
        "CLUSTER_ERROR": "failed due to a cluster error",
        "CLUSTER_REQUEST_LIMIT_EXCEEDED": "cluster requests have exceeded the allotted rate limit",
        "DRIVER_ERROR": "an error while communicating with the Spark Driver",
        "INTERNAL_ERROR": "encountered an unexpected error",
        "MAX_SPARK_CONTEXTS_EXCEEDED": "a cluster that has already reached the maximum of contexts",
        "REPOSITORY_CHECKOUT_FAILED": "an error when communicating with the third party service",
        "STORAGE_ACCESS_ERROR": "an error when accessing the customer blob storage",
    },
    # What a notebook does, or asks to have installed.
    FailureClass.USER_CODE: {
        "BREAKING_CHANGE": "an intentional breaking change in Spark, but it will be retried",
        "LIBRARY_INSTALLATION_ERROR": "failed while installing the user-requested library",
        "RUN_EXECUTION_ERROR": "completed with task failures",
    },
    # Unauthorised, invalid or missing resource, quota.
    FailureClass.CONFIGURATION: {
        "BUDGET_POLICY_LIMIT_EXCEEDED": "over the limit of the budget policy",
        "DISABLED": "never executed because it was disabled explicitly by the user",
        "FEATURE_DISABLED": "tried to access a feature unavailable for the workspace",
        "INVALID_CLUSTER_REQUEST": "issued an invalid request to start the cluster",
        "INVALID_RUN_CONFIGURATION": "failed due to an invalid configuration",
        "MAX_CONCURRENT_RUNS_EXCEEDED": "the limit of maximum concurrent runs set for the job",
        "MAX_JOB_QUEUE_SIZE_EXCEEDED": "skipped due to reaching the job level queue size limit",
        "RESOURCE_NOT_FOUND": "a resource necessary for run execution does not exist",
        "UNAUTHORIZED_ERROR": "a permission issue while accessing a resource",
        "WORKSPACE_RUN_LIMIT_EXCEEDED": "reached the quota for concurrent active runs",
    },
    # By a person, or perhaps by one.
    FailureClass.CANCELLED: {
        "CANCELED": "canceled during execution by the Databricks platform",
        "CLUSTER_TERMINATED_BY_USER": "likely due to the user terminating or restarting it",
        "USER_CANCELED": "successfully canceled during execution by a user",
    },
    # No failures.
    FailureClass.UNKNOWN: {
        "SKIPPED": "never executed, for example, if the upstream task run failed",
        "SUCCESS": "completed successfully",
        "SUCCESS_WITH_FAILURES": "completed successfully but some child runs failed",
    },
}


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [(code, text, each) for each, codes in BY_CLASS.items() for code, text in codes.items()],
)
def test_every_code_has_the_class_of_what_it_means(
    code: str, text: str, expected: FailureClass
) -> None:
    assert classify(failed_with(code, text), text) is expected


def test_the_table_covers_every_code_of_databricks() -> None:
    documented_only = {"CLUSTER_TERMINATED_BY_USER"}  # not yet a member of the SDK's enum
    listed = {code.value for code in TerminationCodeCode} | documented_only
    assert set(TERMINATION_CODES) == listed
    assert {code for codes in BY_CLASS.values() for code in codes} == listed


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


def test_the_user_knows_better_by_result_state_too() -> None:
    overrides = {
        "TIMEDOUT": FailureClass.INFRASTRUCTURE,
        "EVICTED": FailureClass.CONFIGURATION,
        "CANCELED": FailureClass.USER_CODE,
    }
    timed_out = Status(Outcome.TIMED_OUT, "TERMINATED", "TIMEDOUT", "CANCELED", "CLIENT_ERROR")
    assert classify(timed_out, "", overrides) is FailureClass.INFRASTRUCTURE
    evicted = Status(Outcome.FAILED, "TERMINATED", "EVICTED", "CLOUD_FAILURE")
    assert classify(evicted, "", overrides) is FailureClass.CONFIGURATION
    by_code = {**overrides, "CLOUD_FAILURE": FailureClass.USER_CODE}
    assert classify(evicted, "", by_code) is FailureClass.USER_CODE
    cancelled = Status(Outcome.CANCELED, "TERMINATED", "CANCELED", "CANCELED")
    assert classify(cancelled, "", overrides) is FailureClass.CANCELLED


@pytest.mark.parametrize("known", FailureClass)
@pytest.mark.parametrize("code", TERMINATION_CODES)
def test_every_code_can_be_overridden(code: str, known: FailureClass) -> None:
    assert classify(failed_with(code), "MemoryError", {code: known}) is known


@given(
    st.text(min_size=1).filter(lambda code: code not in TERMINATION_CODES),
    st.sampled_from([kind.value for kind in TerminationTypeType]) | st.text(max_size=10),
    st.text(max_size=10),
)
def test_a_code_that_nobody_has_seen_is_unknown(code: str, kind: str, result: str) -> None:
    status = Status(Outcome.FAILED, "TERMINATED", result, code, kind)
    assert classify(status, "") is FailureClass.UNKNOWN
    assert classify(status, "MemoryError") is FailureClass.USER_CODE

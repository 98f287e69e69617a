"""Whose fault a failure is, told from what Databricks says about an attempt. All pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from blocks.databricks.state import Outcome, Status


class FailureClass(StrEnum):
    """Whose fault a failure is, and so whether running the task again can help."""

    INFRASTRUCTURE = "infrastructure"
    USER_CODE = "user code"
    CONFIGURATION = "configuration"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Symptom(StrEnum):
    """A cause that another cluster cures."""

    NONE = "none"
    OUT_OF_MEMORY = "out of memory"
    SPOT_LOSS = "spot instance lost"


# Every code of the Jobs API's TerminationCode; the remarks are its documentation in short.
TERMINATION_CODES: Mapping[str, FailureClass] = MappingProxyType(
    {
        # The platform's fault, and gone after a while: it pays to wait and to run again.
        "INTERNAL_ERROR": FailureClass.INFRASTRUCTURE,
        "DRIVER_ERROR": FailureClass.INFRASTRUCTURE,
        "CLUSTER_ERROR": FailureClass.INFRASTRUCTURE,
        "CLOUD_FAILURE": FailureClass.INFRASTRUCTURE,
        "STORAGE_ACCESS_ERROR": FailureClass.INFRASTRUCTURE,
        "REPOSITORY_CHECKOUT_FAILED": FailureClass.INFRASTRUCTURE,  # the Git host did not answer
        "CLUSTER_REQUEST_LIMIT_EXCEEDED": FailureClass.INFRASTRUCTURE,  # a rate limit
        "MAX_SPARK_CONTEXTS_EXCEEDED": FailureClass.INFRASTRUCTURE,  # a repair has a new cluster
        # The notebook's fault, or what it reads: once more may help, for ever does not.
        "RUN_EXECUTION_ERROR": FailureClass.USER_CODE,
        "LIBRARY_INSTALLATION_ERROR": FailureClass.USER_CODE,  # a wrong name, or an index away
        "BREAKING_CHANGE": FailureClass.USER_CODE,  # of Spark; tried again with a mitigation
        # The same until a person changes something: a repair would only burn money.
        "UNAUTHORIZED_ERROR": FailureClass.CONFIGURATION,
        "RESOURCE_NOT_FOUND": FailureClass.CONFIGURATION,
        "INVALID_CLUSTER_REQUEST": FailureClass.CONFIGURATION,
        "INVALID_RUN_CONFIGURATION": FailureClass.CONFIGURATION,
        "FEATURE_DISABLED": FailureClass.CONFIGURATION,
        "BUDGET_POLICY_LIMIT_EXCEEDED": FailureClass.CONFIGURATION,
        "WORKSPACE_RUN_LIMIT_EXCEEDED": FailureClass.CONFIGURATION,  # a quota
        "MAX_CONCURRENT_RUNS_EXCEEDED": FailureClass.CONFIGURATION,
        "MAX_JOB_QUEUE_SIZE_EXCEEDED": FailureClass.CONFIGURATION,
        "DISABLED": FailureClass.CONFIGURATION,
        # Somebody wanted it to end. CANCELED is the platform's word, but does not say why.
        "USER_CANCELED": FailureClass.CANCELLED,
        "CANCELED": FailureClass.CANCELLED,
        "CLUSTER_TERMINATED_BY_USER": FailureClass.CANCELLED,
        # These do not tell.
        "SUCCESS": FailureClass.UNKNOWN,
        "SUCCESS_WITH_FAILURES": FailureClass.UNKNOWN,
        "SKIPPED": FailureClass.UNKNOWN,
    }
)
# Where no code is given (older workspaces) the type tells, and where that is missing, the result.
# So it does for a time-out, whose code is CANCELED although nobody cancelled it.
RESULT_STATES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "EVICTED": FailureClass.INFRASTRUCTURE,
        "TIMEDOUT": FailureClass.USER_CODE,
        "MAXIMUM_CONCURRENT_RUNS_REACHED": FailureClass.CONFIGURATION,
        "CANCELED": FailureClass.CANCELLED,
    }
)
FAILURES: Mapping[str, FailureClass] = MappingProxyType({**TERMINATION_CODES, **RESULT_STATES})
# The tables as a sentence, for the form in which they may be overridden.
FAILURES_IN_WORDS = "; ".join(
    f"{each}: {', '.join(name for name, found in FAILURES.items() if found is each)}"
    for each in FailureClass
    if each is not FailureClass.UNKNOWN
)
_TYPES: Mapping[str, FailureClass] = {
    "INTERNAL_ERROR": FailureClass.INFRASTRUCTURE,
    "CLOUD_FAILURE": FailureClass.INFRASTRUCTURE,
    "CLIENT_ERROR": FailureClass.USER_CODE,
}

# Words of the JVM, Python, CUDA, YARN, the kernel and the cluster's termination reasons.
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemory|\bMemoryError\b|_ArrayMemoryError|GC overhead limit exceeded"
    r"|(?<![a-z])out[ _]of[ _]memory\b|exceeding memory limits|exit (?:code|status) 137\b",
    re.IGNORECASE,
)
_SPOT_LOSS = re.compile(
    r"\bspot[ _]?(?:instance|node|vm)s?\b.{0,80}?"
    r"(?:terminat|reclaim|evict|interrupt|preempt|decommission|\blost\b)"
    r"|\bSPOT_INSTANCE_TERMINATION\b|\bDRIVER_EVICTION\b"
    r"|(?:preempted|reclaimed|evicted)\b.{0,80}?\bspot\b"
    r"|\b(?:instance|node|vm)s? (?:was|were|has been|have been) (?:preempted|reclaimed|evicted)\b",
    re.IGNORECASE | re.DOTALL,
)


def symptom(status: Status, error: str) -> Symptom:
    """Recognise a cause that another cluster cures.

    Args:
        status: How the attempt ended.
        error: Its error as ``runs/get-output`` gives it, empty without one.
    """
    text = f"{status.message}\n{error}"
    if _OUT_OF_MEMORY.search(text):
        return Symptom.OUT_OF_MEMORY
    return Symptom.SPOT_LOSS if _SPOT_LOSS.search(text) else Symptom.NONE


def classify(
    status: Status, error: str, overrides: Mapping[str, FailureClass] = MappingProxyType({})
) -> FailureClass:
    """Say whose fault a failure is.

    The termination code decides; without one its type, and without that the result state. The
    error's text decides between the notebook and the platform: a lost spot instance may show as an
    exception of the notebook, and a notebook that needs too much memory as a lost driver.

    Args:
        status: How the attempt ended.
        error: Its error as ``runs/get-output`` gives it, empty without one.
        overrides: Classes by termination code, or by result state, that come before the tables
            and the text; the code's before the result's. What was cancelled stays cancelled.

    Returns:
        Exactly one class; ``UNKNOWN`` for codes that nobody has seen yet.
    """
    if status.outcome is Outcome.CANCELED:
        return FailureClass.CANCELLED
    timed_out = status.outcome is Outcome.TIMED_OUT
    code = "" if timed_out else status.termination_code
    for name in (code, status.result_state):
        if name in overrides:
            return overrides[name]
    if code:
        found = TERMINATION_CODES.get(code, FailureClass.UNKNOWN)
    elif timed_out or status.termination_type not in _TYPES:
        found = RESULT_STATES.get(status.result_state, FailureClass.UNKNOWN)
    else:
        found = _TYPES[status.termination_type]
    if found in (FailureClass.CONFIGURATION, FailureClass.CANCELLED):
        return found
    return {
        Symptom.OUT_OF_MEMORY: FailureClass.USER_CODE,
        Symptom.SPOT_LOSS: FailureClass.INFRASTRUCTURE,
        Symptom.NONE: found,
    }[symptom(status, error)]

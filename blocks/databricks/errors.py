"""What can go wrong between this project and a Databricks workspace."""

from __future__ import annotations


class DatabricksError(Exception):
    """Base of every error that ``blocks.databricks`` raises."""


class ApiError(DatabricksError):
    """The workspace refused a request.

    Attributes:
        status: HTTP status code.
        error_code: Databricks' own code (``INVALID_PARAMETER_VALUE`` …). Always text, although the
            API sends a number for a bad token.
        message: The workspace's sentence.
        retry_after: The ``Retry-After`` header as it came, None without one.
    """

    def __init__(
        self, request: str, status: int, error_code: str, message: str, retry_after: str | None
    ) -> None:
        super().__init__(f"Databricks refused {request} with {status} {error_code}: {message}")
        self.status = status
        self.error_code = error_code
        self.message = message
        self.retry_after = retry_after

    @property
    def throttled(self) -> bool:
        """True when the workspace did nothing because too much is asked of it."""
        return self.status == 429

    @property
    def transient(self) -> bool:
        """True when the same request may succeed a little later, or has succeeded unseen."""
        return self.throttled or self.status >= 500

    @property
    def missing(self) -> bool:
        """True when what was asked for does not exist (any more): a 400 for jobs and runs."""
        return self.status in (400, 404)


class UnreachableError(DatabricksError):
    """No usable answer came: the connection failed, timed out, or the body was not JSON.

    The request may or may not have taken effect.
    """


class JobSpecError(DatabricksError):
    """A job's definition cannot work; the message lists every problem found."""


class JobBusyError(DatabricksError):
    """The saved job would have to change, but a run of it is alive."""


class RepairError(DatabricksError):
    """A repair cannot be sent, or never showed up in the run's history."""


class RunLostError(DatabricksError):
    """The run did not reach an end within the time allowed."""

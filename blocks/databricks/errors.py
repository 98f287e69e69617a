"""What can go wrong between this project and a Databricks workspace."""

from __future__ import annotations

CREDENTIALS_BLOCK = "the Databricks Credentials block"
# Codes of a 400 or 409 that mean "not now".
_NOT_NOW = {"ABORTED", "COULD_NOT_ACQUIRE_LOCK", "INVALID_STATE"}
_ADVICE = {
    401: f"Check the token, or the service principal, of {CREDENTIALS_BLOCK}.",
    403: f"Check the token of {CREDENTIALS_BLOCK}, and what its owner may do.",
}


class DatabricksError(Exception):
    """Base of every error that ``blocks.databricks`` raises.

    Attributes:
        given_up: A sentence for how long it was tried again; empty if it was not.
    """

    given_up = ""

    @property
    def transient(self) -> bool:
        """True when the same request may succeed a little later, or has succeeded unseen."""
        return False

    def __str__(self) -> str:
        """Return what went wrong and, when there was no more patience, for how long."""
        return f"{super().__str__()} {self.given_up}".strip()


class ApiError(DatabricksError):
    """The workspace refused a request.

    Attributes:
        status: HTTP status code.
        error_code: Databricks' own code (``INVALID_PARAMETER_VALUE`` …). Always text, although the
            API sends a number for a bad token; empty when what answered is not Databricks' API.
        message: The workspace's sentence.
        retry_after: After how many seconds it wants to be asked again; None if it does not say.
    """

    def __init__(
        self, request: str, status: int, error_code: str, message: str, retry_after: float | None
    ) -> None:
        code = error_code if error_code != str(status) else ""
        super().__init__(
            f"Databricks refused {request} with {f'{status} {code}'.strip()}: {_ended(message)} "
            f"{_ADVICE.get(status, '')}".strip()
        )
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
        later = self.throttled or self.status == 408 or self.status >= 500
        return later or self.error_code in _NOT_NOW

    @property
    def missing(self) -> bool:
        """True when what was asked for does not exist (any more): a 400 for jobs and runs."""
        # A proxy's page says nothing about what the workspace has.
        return self.status in (400, 404) and bool(self.error_code) and not self.transient


class UnreachableError(DatabricksError):
    """No usable answer came: the connection failed, timed out, or the body was not the API's.

    The request may or may not have taken effect.
    """

    @property
    def transient(self) -> bool:
        """Always true: networks recover."""
        return True


class NoTokenError(UnreachableError):
    """No OAuth token could be had for now, so the request has had no effect."""


class CredentialsError(DatabricksError):
    """The credentials block cannot work: its host, its secret or the certificate is wrong."""


class JobSpecError(DatabricksError):
    """A job's definition cannot work; the message lists every problem found."""


class JobBusyError(DatabricksError):
    """The saved job would have to change, but a run of it is alive."""


class RepairError(DatabricksError):
    """A repair cannot be sent, or never showed up in the run's history."""


class RunLostError(DatabricksError):
    """The run did not reach an end within the time allowed."""


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."

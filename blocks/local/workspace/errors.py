"""Errors as the API answers them."""

from __future__ import annotations


class CannotStartError(RuntimeError):
    """The workspace cannot be started as it was asked to; the text says what to do."""


class ApiError(Exception):
    """A request that the workspace refuses.

    Attributes:
        status: HTTP status.
        error_code: Databricks' code; a number in the one case of a bad token, as in the cloud.
        message: One sentence for the caller.
    """

    def __init__(self, status: int, error_code: str | int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message


def invalid(message: str) -> ApiError:
    """Return the error of a request whose values are wrong."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def malformed(message: str) -> ApiError:
    """Return the error of a request that cannot be parsed."""
    return ApiError(400, "MALFORMED_REQUEST", f"Could not parse request object: {message}")


def no_job(job_id: int) -> ApiError:
    """Return the error of an unknown job: 400, not 404, in the Jobs API."""
    return invalid(f"Job {job_id} does not exist.")


def no_run(run_id: int) -> ApiError:
    """Return the error of an unknown run: 400, not 404, in the Jobs API."""
    return invalid(f"Run {run_id} does not exist.")


def no_cluster(cluster_id: str) -> ApiError:
    """Return the error of an unknown cluster: 400, not 404, in the Clusters API."""
    return invalid(f"Cluster {cluster_id} does not exist")


def no_path(path: str) -> ApiError:
    """Return the error of an unknown workspace path."""
    return missing(f"Path ({path}) doesn't exist.")


def missing(message: str) -> ApiError:
    """Return the error of a thing that does not exist, outside of the Jobs API."""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def no_endpoint(method: str, path: str) -> ApiError:
    """Return the error of a route that the workspace does not have."""
    return ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")

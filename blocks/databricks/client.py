"""A thin client of the Jobs API 2.2 and the workspace API, over the stock credentials block.

One connection pool serves a whole job run. Every method that reads, and every one that may safely
be sent twice, is retried for as long as there is patience; the others raise
:class:`UnreachableError` or :class:`ApiError` at once, and the caller finds out what happened
before it sends again.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prefect_databricks import DatabricksCredentials
from tenacity import RetryCallState, Retrying, retry_if_exception

from blocks.databricks.errors import ApiError, UnreachableError
from blocks.databricks.patience import Patience

_TIMEOUT = httpx.Timeout(30, connect=10)
_PAGED = ("tasks", "job_clusters", "job_parameters", "repair_history", "environments", "parameters")


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header, given as seconds or as an HTTP date (RFC 9110, 10.2.3).

    Args:
        header: The header's value; None without one.
        now: The current time, with its zone.

    Returns:
        Seconds to wait, never negative; None when there is no header or it cannot be read.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if seconds < float("inf") else None


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed a little later."""
    return error.transient if isinstance(error, ApiError) else isinstance(error, UnreachableError)


class JobsClient:
    """Calls Databricks, synchronously, for the length of a ``with`` block.

    Args:
        credentials: The stock credentials block; its ``get_client()`` is called once.
        patience: For how long requests are tried again; ten minutes by default.
        sleep: Waits between tries; given by tests with a clock of their own.

    Attributes:
        patience: For how long requests are tried again.

    Example:
        ```python
        with JobsClient(DatabricksCredentials.load("renewables")) as client:
            print(client.get_run(900)["state"])
        ```
    """

    def __init__(
        self,
        credentials: DatabricksCredentials,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials = credentials
        self.patience = patience or Patience()
        self._sleep = sleep
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._http: httpx.AsyncClient | None = None

    def __enter__(self) -> Self:
        """Open the connection pool."""
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._http = self._credentials.get_client()
        if "timeout" not in (self._credentials.client_kwargs or {}):
            self._http.timeout = _TIMEOUT
        self._stack.enter_context(self._portal.wrap_async_context_manager(self._http))
        return self

    def _renew_token(self) -> None:
        """Ask for a new OAuth token. The block keeps the one that it has until the last minute."""
        if self._http is not None:
            self._credentials._cached_token = None
            self._http.headers["Authorization"] = self._credentials.get_client().headers[
                "Authorization"
            ]

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection pool."""
        self._stack.__exit__(exc_type, exc, traceback)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never show: the credentials that this client uses."""
        held = (self._credentials.token, self._credentials.client_secret)
        return tuple(secret.get_secret_value() for secret in held if secret)

    # Jobs

    def find_jobs(self, name: str) -> list[dict[str, Any]]:
        """Return the saved jobs of exactly this name, oldest first, without their tasks."""
        jobs = self._listed("2.2/jobs/list", "jobs", {"name": name, "limit": 100})
        # The server's filter ignores case.
        exact = [job for job in jobs if job.get("settings", {}).get("name") == name]
        return sorted(exact, key=lambda job: (job.get("created_time", 0), job["job_id"]))

    def get_job(self, job_id: int) -> dict[str, Any]:
        """Return a saved job, whole."""
        return self._get_paged("2.2/jobs/get", {"job_id": job_id}, within="settings")

    def create_job(self, settings: Mapping[str, Any]) -> int:
        """Save a new job and return its id. Not retried: a second call makes a second job."""
        return int(self._post("2.2/jobs/create", settings, repeatable=False)["job_id"])

    def reset_job(self, job_id: int, settings: Mapping[str, Any]) -> None:
        """Replace all settings of a saved job."""
        body = {"job_id": job_id, "new_settings": settings}
        self._post("2.2/jobs/reset", body, repeatable=True)

    def delete_job(self, job_id: int) -> None:
        """Delete a saved job."""
        self._post("2.2/jobs/delete", {"job_id": job_id}, repeatable=False)

    def get_permissions(self, job_id: int) -> dict[str, Any]:
        """Return who may do what with a saved job."""
        return self._get(f"2.0/permissions/jobs/{job_id}", {})

    def set_permissions(self, job_id: int, entries: Sequence[Mapping[str, str]]) -> None:
        """Replace who may do what with a saved job, but for what is inherited."""
        path = f"2.0/permissions/jobs/{job_id}"
        self._call("PUT", path, repeatable=True, body={"access_control_list": list(entries)})

    # Runs

    def run_now(self, job_id: int, job_parameters: Mapping[str, str], token: str) -> int:
        """Start a run and return its id; the same token gives the same run again.

        Args:
            job_id: The saved job.
            job_parameters: Values for the job's parameters.
            token: Idempotency token, at most 64 characters.
        """
        body = {
            "job_id": job_id,
            "job_parameters": dict(job_parameters),
            "idempotency_token": token,
        }
        return int(self._post("2.2/jobs/run-now", body, repeatable=True)["run_id"])

    def get_run(self, run_id: int) -> dict[str, Any]:
        """Return a job run with its repair history, all pages joined."""
        query = {"run_id": run_id, "include_history": "true"}
        return self._get_paged("2.2/jobs/runs/get", query)

    def active_runs(self, job_id: int) -> list[int]:
        """Return the ids of the job's live runs, newest first."""
        query = {"job_id": job_id, "active_only": "true", "limit": 25}
        return [int(run["run_id"]) for run in self._listed("2.2/jobs/runs/list", "runs", query)]

    def finished_runs(self, job_id: int) -> list[dict[str, Any]]:
        """Return the job's latest ten runs that have ended, newest first, with their tasks.

        Not retried: they are good to have, and not worth waiting for.
        """
        query = {"job_id": job_id, "completed_only": "true", "expand_tasks": "true", "limit": 10}
        page = self._call("GET", "2.2/jobs/runs/list", repeatable=False, query=query)
        runs: list[dict[str, Any]] = page.get("runs") or []
        return runs

    def get_output(self, task_run_id: int) -> dict[str, Any]:
        """Return the output of one attempt, or its error."""
        return self._get("2.2/jobs/runs/get-output", {"run_id": task_run_id})

    def cancel_run(self, run_id: int) -> None:
        """Ask for a run to be cancelled; it ends a little later."""
        self._post("2.2/jobs/runs/cancel", {"run_id": run_id}, repeatable=True)

    def repair_run(
        self,
        run_id: int,
        task_keys: Sequence[str],
        latest_repair_id: int | None,
        parameters: Mapping[str, Any],
    ) -> int:
        """Send a repair and return its id. Not retried: ``runs/repair`` has no token.

        Args:
            run_id: The run.
            task_keys: The tasks to run again.
            latest_repair_id: The repair before this one, None for the first.
            parameters: What the tasks get, by its slot: ``job_parameters``, or ``notebook_params``
                and the like.
        """
        body: dict[str, Any] = {"run_id": run_id, "rerun_tasks": list(task_keys), **parameters}
        if latest_repair_id is not None:
            body["latest_repair_id"] = latest_repair_id
        return int(self._post("2.2/jobs/runs/repair", body, repeatable=False)["repair_id"])

    # Workspace

    def workspace_object_exists(self, path: str) -> bool:
        """Say whether something is stored at a workspace path."""
        try:
            self._get("2.0/workspace/get-status", {"path": path})
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def import_notebook(self, path: str, source: str) -> None:
        """Store a Python notebook, in source format, with the folders above it."""
        folder = path.rpartition("/")[0]
        self._post("2.0/workspace/mkdirs", {"path": folder}, repeatable=True)
        body = {
            "path": path,
            "format": "SOURCE",
            "language": "PYTHON",
            "overwrite": True,
            "content": base64.b64encode(source.encode()).decode(),
        }
        self._post("2.0/workspace/import", body, repeatable=True)

    # Transport

    def _get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("GET", path, repeatable=True, query=query)

    def _post(self, path: str, body: Mapping[str, Any], *, repeatable: bool) -> dict[str, Any]:
        return self._call("POST", path, repeatable=repeatable, body=body)

    def _listed(self, path: str, what: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the items of all pages of a list."""
        page = self._get(path, query)
        items: list[dict[str, Any]] = page.get(what) or []
        while token := page.get("next_page_token"):
            page = self._get(path, {**query, "page_token": token})
            items = [*items, *(page.get(what) or [])]
        return items

    def _get_paged(
        self, path: str, query: Mapping[str, Any], within: str | None = None
    ) -> dict[str, Any]:
        """Join the pages of an answer: lists are cut over pages, all else is repeated."""
        whole = self._get(path, query)
        page = whole
        while token := page.get("next_page_token"):
            page = self._get(path, {**query, "page_token": token})
            into, more = (whole[within], page[within]) if within else (whole, page)
            for name in _PAGED:
                if more.get(name):
                    into[name] = [*(into.get(name) or []), *more[name]]
        whole.pop("next_page_token", None)
        return whole

    def _call(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        if not repeatable:
            return self._send_authorized(method, path, query, body)
        answer: dict[str, Any] = self.retrying()(self._send_authorized, method, path, query, body)
        return answer

    def retrying(self) -> Retrying:
        """Return what calls a function again after transient failures, while there is patience."""
        return Retrying(
            retry=retry_if_exception(is_transient),
            stop=self.patience.is_over,
            before_sleep=self.patience.before_another_try,
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )

    def _send_authorized(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Send a request, once more with a new token if an OAuth token has expired."""
        try:
            return self._send(method, path, query, body)
        except ApiError as error:
            # A refused token is a 401 or, with "Invalid access token.", a 403; the request had no
            # effect. A personal access token cannot be renewed.
            if error.status not in (401, 403) or self._credentials.client_id is None:
                raise
        self._renew_token()
        return self._send(method, path, query, body)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        try:
            answer = self._exchange(method, path, query, body)
        except (ApiError, UnreachableError) as error:
            self.patience.unanswered() if is_transient(error) else self.patience.answered()
            raise
        self.patience.answered()
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        if self._portal is None or self._http is None:
            raise RuntimeError("JobsClient is used outside its with block.")
        http = self._http
        given = {key: value for key, value in (query or {}).items() if value is not None}
        request = f"{method} /api/{path}"

        async def call() -> httpx.Response:
            return await http.request(method, path, params=given, json=body)

        try:
            response = self._portal.call(call)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(
                f"No answer from {http.base_url.host} to {request}: {reason}"
            ) from error
        return _read(request, response)


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asks for, or 1, 2, 4 … up to 30."""
    error = state.outcome.exception() if state.outcome else None
    asked = (
        retry_after_seconds(error.retry_after, datetime.now(UTC))
        if isinstance(error, ApiError)
        else None
    )
    backoff = min(30.0, 2.0 ** (state.attempt_number - 1))
    return backoff if asked is None else asked


def _read(request: str, response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    if response.is_success:
        raise UnreachableError(f"The answer to {request} was not a JSON object.")
    fields = body if isinstance(body, dict) else {}
    raise ApiError(
        request,
        response.status_code,
        str(fields.get("error_code", "")),
        str(fields.get("message") or response.reason_phrase),
        response.headers.get("Retry-After"),
    )

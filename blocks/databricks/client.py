"""A thin client of the Jobs API 2.2 and the workspace API, over the stock credentials block.

One connection pool serves a whole job run. Every method that reads, and every one that may safely
be sent twice, is retried for as long as there is patience; the others raise
:class:`UnreachableError` or :class:`ApiError` at once, and the caller finds out what happened
before it sends again. Whatever goes wrong is one of our own errors, without a secret in it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prefect_databricks import DatabricksCredentials
from tenacity import RetryCallState, Retrying, retry_if_exception

from blocks.databricks.access import Access
from blocks.databricks.answers import Request, no_answer, read_answer
from blocks.databricks.errors import ApiError, DatabricksError, NoTokenError
from blocks.databricks.patience import Patience

_TIMEOUT = httpx.Timeout(30, connect=10)
# A body that drips keeps within the time-outs of single reads.
_WHOLE_REQUEST_SECONDS = 60.0
_LONGEST_BACKOFF = 30.0
_PAGED = ("tasks", "job_clusters", "job_parameters", "repair_history", "environments", "parameters")


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed a little later."""
    return isinstance(error, DatabricksError) and error.transient


def _had_no_token(error: BaseException) -> bool:
    return isinstance(error, NoTokenError)


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
        self._access = Access(credentials, _WHOLE_REQUEST_SECONDS)
        self._timeout_given = "timeout" in (credentials.client_kwargs or {})
        self.patience = patience or Patience()
        self._sleep = sleep
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._http: httpx.AsyncClient | None = None

    def __enter__(self) -> Self:
        """Open the connection pool.

        Raises:
            CredentialsError: The credentials block cannot work.
            UnreachableError: The first OAuth token could not be had.
        """
        with ExitStack() as on_error:
            self._portal = on_error.enter_context(start_blocking_portal())
            http = self._access.new_http(self.retrying()(self._first_token, self._portal))
            if not self._timeout_given:
                http.timeout = _TIMEOUT
            self._http = on_error.enter_context(self._portal.wrap_async_context_manager(http))
            self._stack = on_error.pop_all()
        return self

    def _first_token(self, portal: BlockingPortal) -> str:
        with self._clocked():
            return portal.call(self._access.token)

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
        return self._access.secrets

    # Jobs

    def find_jobs(self, name: str) -> list[dict[str, Any]]:
        """Return the saved jobs of exactly this name, oldest first, without their tasks."""
        jobs = self._listed("2.2/jobs/list", "jobs", {"name": name, "limit": 100})
        # The server's filter ignores case.
        exact = [job for job in jobs if job.get("settings", {}).get("name") == name]
        return sorted(exact, key=lambda job: (job.get("created_time", 0), job["job_id"]))

    def get_job(self, job_id: int) -> dict[str, Any]:
        """Return a saved job, whole."""
        query = {"job_id": job_id}
        return self._get_paged("2.2/jobs/get", query, ("settings", dict), within="settings")

    def create_job(self, settings: Mapping[str, Any]) -> int:
        """Save a new job and return its id. Not retried: a second call makes a second job."""
        return self._post_for("job_id", "2.2/jobs/create", settings, repeatable=False)

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
        body = {"access_control_list": list(entries)}
        self._call(Request("PUT", path, body=body), repeatable=True)

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
        return self._post_for("run_id", "2.2/jobs/run-now", body, repeatable=True)

    def get_run(self, run_id: int) -> dict[str, Any]:
        """Return a job run with its repair history, all pages joined."""
        query = {"run_id": run_id, "include_history": "true"}
        return self._get_paged("2.2/jobs/runs/get", query, ("run_id", int))

    def active_runs(self, job_id: int) -> list[int]:
        """Return the ids of the job's live runs, newest first."""
        query = {"job_id": job_id, "active_only": "true", "limit": 25}
        return [int(run["run_id"]) for run in self._listed("2.2/jobs/runs/list", "runs", query)]

    def finished_runs(self, job_id: int) -> list[dict[str, Any]]:
        """Return the job's latest ten runs that have ended, newest first, with their tasks.

        Not retried: they are good to have, and not worth waiting for.
        """
        query = {"job_id": job_id, "completed_only": "true", "expand_tasks": "true", "limit": 10}
        page = self._call(Request("GET", "2.2/jobs/runs/list", query=query), repeatable=False)
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
        return self._post_for("repair_id", "2.2/jobs/runs/repair", body, repeatable=False)

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

    def _get(
        self, path: str, query: Mapping[str, Any], needs: tuple[str, type] | None = None
    ) -> dict[str, Any]:
        return self._call(Request("GET", path, query, needs=needs), repeatable=True)

    def _post(self, path: str, body: Mapping[str, Any], *, repeatable: bool) -> None:
        self._call(Request("POST", path, body=body), repeatable=repeatable)

    def _post_for(
        self, wanted: str, path: str, body: Mapping[str, Any], *, repeatable: bool
    ) -> int:
        """Return the id that is the answer."""
        request = Request("POST", path, body=body, needs=(wanted, int))
        return int(self._call(request, repeatable=repeatable)[wanted])

    def _listed(self, path: str, what: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the items of all pages of a list."""
        page = self._get(path, query)
        items: list[dict[str, Any]] = page.get(what) or []
        while token := page.get("next_page_token"):
            page = self._get(path, {**query, "page_token": token})
            items = [*items, *(page.get(what) or [])]
        return items

    def _get_paged(
        self,
        path: str,
        query: Mapping[str, Any],
        needs: tuple[str, type],
        within: str | None = None,
    ) -> dict[str, Any]:
        """Join the pages of an answer: lists are cut over pages, all else is repeated."""
        whole = self._get(path, query, needs)
        page = whole
        while token := page.get("next_page_token"):
            page = self._get(path, {**query, "page_token": token}, needs)
            into, more = (whole[within], page[within]) if within else (whole, page)
            for name in _PAGED:
                if more.get(name):
                    into[name] = [*(into.get(name) or []), *more[name]]
        whole.pop("next_page_token", None)
        return whole

    def _call(self, request: Request, *, repeatable: bool) -> dict[str, Any]:
        retrying = self.retrying() if repeatable else self._retrying(_had_no_token)
        answer: dict[str, Any] = retrying(self._send, request)
        return answer

    def retrying(self) -> Retrying:
        """Return what calls a function again after transient failures, while there is patience."""
        return self._retrying(is_transient)

    def _retrying(self, after: Callable[[BaseException], bool]) -> Retrying:
        return Retrying(
            # What has been given up within the function is not tried anew around it.
            retry=retry_if_exception(
                lambda error: after(error) and not getattr(error, "given_up", "")
            ),
            stop=self.patience.is_over,
            retry_error_callback=self.patience.give_up,
            before_sleep=self.patience.before_another_try,
            wait=_wait,
            sleep=self._sleep,
        )

    @contextmanager
    def _clocked(self) -> Iterator[None]:
        """Start the clock of the patience when no answer comes, and stop it at a refusal."""
        try:
            yield
        except DatabricksError as error:
            if is_transient(error):
                self.patience.unanswered(str(error))
            else:
                self.patience.answered()
            raise

    def _send(self, request: Request) -> dict[str, Any]:
        """Send a request, once more with a new token if an OAuth token has expired."""
        if self._portal is None or self._http is None:
            raise RuntimeError("JobsClient is used outside its with block.")
        with self._clocked():
            try:
                answer = self._exchange(self._portal, self._http, request)
            except ApiError as error:
                # A refused token is a 401 or, with "Invalid access token.", a 403; the request had
                # no effect.
                if error.status not in (401, 403) or not self._access.renewable:
                    raise
                self._access.forget_token()
                token = self._portal.call(self._access.token)
                self._http.headers["Authorization"] = f"Bearer {token}"
                answer = self._exchange(self._portal, self._http, request)
        self.patience.answered()
        return answer

    def _exchange(
        self, portal: BlockingPortal, http: httpx.AsyncClient, request: Request
    ) -> dict[str, Any]:
        query = {key: value for key, value in request.query.items() if value is not None}

        async def call() -> httpx.Response:
            with anyio.fail_after(_WHOLE_REQUEST_SECONDS):
                return await http.request(
                    request.method, request.path, params=query, json=request.body
                )

        try:
            response = portal.call(call)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Without the library's own errors, one of which quotes the token.
            raise no_answer(error, f"{http.base_url.host} to {request}", self.secrets) from None
        return read_answer(request, response, self.secrets)


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: 1, 2, 4 … up to 30, and no less than the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ApiError) else None
    # An answer that asks for no wait at all, as of a clock that is off, is no reason to hurry.
    return max(asked or 0.0, min(_LONGEST_BACKOFF, 2.0 ** min(state.attempt_number - 1, 5)))

"""``/api/2.x/jobs/runs/*``: runs and task runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blocks.local.workspace.api import paging, requests, views
from blocks.local.workspace.api.jobs import PAGE_SIZE, list_answer, list_limit
from blocks.local.workspace.api.outputs import output_json
from blocks.local.workspace.api.routing import JOBS_VERSIONS, Route, Version, route
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import invalid
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.models import JobSettings
from blocks.local.workspace.nested import shown_run
from blocks.local.workspace.pages.notebooks import notebook_document
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.service import RunService
from blocks.local.workspace.settings import job_settings, one_time_settings
from blocks.local.workspace.specs import TaskKind
from blocks.local.workspace.store import Store

_MAX_LIST_LIMIT = 25


class RunsApi:
    """Handlers of the endpoints for runs.

    Args:
        store: Where runs and outputs are kept.
        engine: Warned when a notebook will soon be run.
        runs: Starts and changes runs.
        identity: Of the workspace.
        as_read: Gives a run as ``runs/get`` is to show it; a fault may make it older than it is.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        runs: RunService,
        identity: Identity,
        as_read: Callable[[Run], Run],
    ) -> None:
        self._store = store
        self._engine = engine
        self._runs = runs
        self._identity = identity
        self._as_read = as_read

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        versions = JOBS_VERSIONS
        return [
            route("POST", "jobs/runs/submit", versions, requests.Submit, self._submit, JobSettings),
            route("GET", "jobs/runs/get", versions, requests.RunGet, self._get),
            route("GET", "jobs/runs/list", versions, requests.RunList, self._list),
            route("GET", "jobs/runs/get-output", versions, requests.RunId, self._get_output),
            route("GET", "jobs/runs/export", versions, requests.RunExport, self._export),
            route("POST", "jobs/runs/repair", versions, requests.Repair, self._repair),
            route("POST", "jobs/runs/cancel", versions, requests.RunId, self._cancel),
            route("POST", "jobs/runs/cancel-all", versions, requests.CancelAll, self._cancel_all),
            route("POST", "jobs/runs/delete", versions, requests.RunId, self._delete),
        ]

    def _submit(self, request: requests.Submit, _version: Version) -> Mapping[str, Any]:
        single_task = "tasks" not in request.values
        settings = job_settings(
            one_time_settings(request.run_name, request.values), queue_default=False
        )
        self._engine.prepare()
        run_id = self._runs.submit(
            settings, single_task=single_task, token=request.idempotency_token or None
        )
        return {"run_id": run_id}

    def _get(self, request: requests.RunGet, version: Version) -> Mapping[str, Any]:
        run = self._runs.run_or_owner(request.run_id)
        resolved = request.include_resolved_values
        if run.run_id != request.run_id:
            return self._get_task_run(run, run.attempt(request.run_id), request, version)
        run = self._as_read(run)
        shown = views.run_json(run, self._identity)
        arrays = views.run_arrays(run, self._identity, resolved=resolved)
        if request.include_history:
            arrays["repair_history"] = views.history_json(run)
        return _paged(shown, arrays, request.page_token, version)

    def _get_task_run(
        self, run: Run, attempt: Attempt, request: requests.RunGet, version: Version
    ) -> Mapping[str, Any]:
        resolved = request.include_resolved_values
        shown = views.task_run_json(
            shown_run(self._store, run), attempt, self._identity, resolved=resolved
        )
        if attempt.task.kind is not TaskKind.FOR_EACH:
            return shown
        held = self._store.runs.child(attempt.run_id)
        iterations = () if held is None else held.attempts
        arrays = views.iterations_json(run, iterations, self._identity, resolved=resolved)
        return _paged(shown, arrays, request.page_token, version)

    def _list(self, request: requests.RunList, version: Version) -> Mapping[str, Any]:
        if request.active_only and request.completed_only:
            raise invalid("Only one of active_only and completed_only can be true.")
        limit = list_limit(request.limit, _MAX_LIST_LIMIT)
        skip = paging.decode(request.page_token) or request.offset
        active = True if request.active_only else False if request.completed_only else None
        found = self._store.runs.list_page(
            job_id=request.job_id,
            active=active,
            run_type=request.run_type,
            started_from=request.start_time_from,
            started_to=request.start_time_to,
            skip=skip,
            limit=limit + 1,
        )
        runs = [self._item(run, expand_tasks=request.expand_tasks) for run in found[:limit]]
        return list_answer("runs", runs, skip, limit, more=len(found) > limit, version=version)

    def _item(self, run: Run, *, expand_tasks: bool) -> Mapping[str, Any]:
        item = views.run_json(run, self._identity)
        if not expand_tasks:
            return item
        cut, token = paging.page(views.run_arrays(run, self._identity), 0, PAGE_SIZE)
        return {**item, **cut} if token is None else {**item, **cut, "has_more": True}

    def _get_output(self, request: requests.RunId, _version: Version) -> Mapping[str, Any]:
        run, attempt = self._task_run(
            request.run_id,
            "Retrieving the output of runs with multiple tasks is not supported."
            " Please retrieve the output of each individual task run instead.",
        )
        outputs = self._store.outputs
        output = output_json(
            attempt,
            outputs.get(attempt.run_id),
            outputs.cells(attempt.run_id),
            self._store.runs.child(attempt.run_id),
        )
        shown = shown_run(self._store, run)
        return {"metadata": views.task_run_json(shown, attempt, self._identity), **output}

    def _export(self, request: requests.RunExport, _version: Version) -> Mapping[str, Any]:
        _, attempt = self._task_run(
            request.run_id, "Only the task runs of a run can be exported, one by one."
        )
        if attempt.task.kind is not TaskKind.NOTEBOOK:
            raise invalid("Only the runs of notebook tasks can be exported.")
        if request.views_to_export == "DASHBOARDS":
            return {"views": []}
        cells = self._store.outputs.cells(attempt.run_id)
        path = attempt.task.path
        content = notebook_document(path, cells)
        name = path.rpartition("/")[2]
        return {"views": [{"content": content, "name": name, "type": "NOTEBOOK"}]}

    def _repair(self, request: requests.Repair, _version: Version) -> Mapping[str, Any]:
        self._engine.prepare()
        repair_id = self._runs.repair(request.run_id, request.choice, request.parameters)
        return {"repair_id": repair_id}

    def _cancel(self, request: requests.RunId, _version: Version) -> Mapping[str, Any]:
        self._runs.cancel(request.run_id)
        return {}

    def _cancel_all(self, request: requests.CancelAll, _version: Version) -> Mapping[str, Any]:
        if request.job_id is None and not request.all_queued_runs:
            raise invalid("Either job_id or all_queued_runs must be specified.")
        self._runs.cancel_all(request.job_id, queued_only=request.all_queued_runs)
        return {}

    def _delete(self, request: requests.RunId, _version: Version) -> Mapping[str, Any]:
        self._runs.delete(request.run_id)
        return {}

    def _task_run(self, run_id: int, refusal: str) -> tuple[Run, Attempt]:
        """Return a task run with its run; the one of a one-task submit may share the run's id."""
        run = self._runs.run_or_owner(run_id)
        for attempt in run.attempts:
            if attempt.run_id == run_id:
                return run, attempt
        raise invalid(refusal)


def _paged(
    shown: Mapping[str, Any],
    arrays: Mapping[str, Sequence[Any]],
    page_token: str,
    version: Version,
) -> Mapping[str, Any]:
    """Add arrays to an answer; only 2.2 cuts them into pages."""
    if version != "2.2":
        return {**shown, **arrays}
    cut, token = paging.page(arrays, paging.decode(page_token), PAGE_SIZE)
    answer = {**shown, **cut}
    return answer if token is None else {**answer, "next_page_token": token}

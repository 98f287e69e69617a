"""``/api/2.x/jobs/*``: saved jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks.local.workspace.api import paging, requests
from blocks.local.workspace.api.routing import JOBS_VERSIONS, Route, Version, route
from blocks.local.workspace.clock import now
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import invalid, no_job
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.models import JobSettings
from blocks.local.workspace.service import RunService
from blocks.local.workspace.settings import job_settings, merge
from blocks.local.workspace.store import Store
from blocks.local.workspace.store.jobs import Job

PAGE_SIZE = 100
# The largest page of a list, by version.
_MAX_LIST_LIMIT = {"2.0": 25, "2.1": 25, "2.2": 100}
_ARRAYS = ("tasks", "job_clusters", "environments", "parameters")


class JobsApi:
    """Handlers of the endpoints for saved jobs.

    Args:
        store: Where jobs are kept.
        engine: Warned when a notebook will soon be run.
        runs: Told when a job changes.
        identity: Of the workspace.
    """

    def __init__(self, store: Store, engine: Engine, runs: RunService, identity: Identity) -> None:
        self._store = store
        self._engine = engine
        self._runs = runs
        self._identity = identity

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        versions = JOBS_VERSIONS
        return [
            route("POST", "jobs/create", versions, requests.Anything, self._create, JobSettings),
            route("POST", "jobs/reset", versions, requests.JobReset, self._reset),
            route("POST", "jobs/update", versions, requests.JobUpdate, self._update),
            route("GET", "jobs/get", versions, requests.JobGet, self._get),
            route("GET", "jobs/list", versions, requests.JobList, self._list),
            route("POST", "jobs/delete", versions, requests.JobId, self._delete),
            route("POST", "jobs/run-now", versions, requests.RunNow, self._run_now),
        ]

    def _create(self, request: requests.Anything, version: Version) -> Mapping[str, Any]:
        settings = _checked(request.values, version)
        self._engine.prepare()
        return {"job_id": self._store.jobs.add(settings, now())}

    def _reset(self, request: requests.JobReset, version: Version) -> Mapping[str, Any]:
        with self._store.transaction():
            old = self._runs.job(request.job_id).settings
            settings = _checked(request.new_settings, version)
            # Recorded from the cloud: a reset that leaves run_as out keeps the identity.
            if "run_as" in old:
                settings.setdefault("run_as", old["run_as"])
            return self._change(request.job_id, settings)

    def _update(self, request: requests.JobUpdate, version: Version) -> Mapping[str, Any]:
        with self._store.transaction():
            old = self._runs.job(request.job_id).settings
            merged = merge(old, request.new_settings, request.fields_to_remove)
            return self._change(request.job_id, _checked(merged, version))

    def _change(self, job_id: int, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        self._store.jobs.change(job_id, settings)
        self._runs.job_changed(self._runs.job(job_id))
        return {}

    def _delete(self, request: requests.JobId, _version: Version) -> Mapping[str, Any]:
        if not self._store.jobs.delete(request.job_id):
            raise no_job(request.job_id)
        self._runs.job_deleted(request.job_id)
        return {}

    def _get(self, request: requests.JobGet, version: Version) -> Mapping[str, Any]:
        job = self._runs.job(request.job_id)
        shown = self._envelope(job)
        if version != "2.2":
            return {**shown, "settings": job.settings}
        arrays: dict[str, Sequence[Any]] = {
            name: job.settings[name] for name in _ARRAYS if name in job.settings
        }
        cut, token = paging.page(arrays, paging.decode(request.page_token), PAGE_SIZE)
        shown["settings"] = {**job.settings, **cut}
        return shown if token is None else {**shown, "has_more": True, "next_page_token": token}

    def _list(self, request: requests.JobList, version: Version) -> Mapping[str, Any]:
        limit = list_limit(request.limit, _MAX_LIST_LIMIT[version])
        skip = paging.decode(request.page_token) or request.offset
        found = self._store.jobs.list_page(name=request.name, skip=skip, limit=limit + 1)
        jobs = [self._item(job, expand_tasks=request.expand_tasks) for job in found[:limit]]
        return list_answer("jobs", jobs, skip, limit, more=len(found) > limit, version=version)

    def _item(self, job: Job, *, expand_tasks: bool) -> Mapping[str, Any]:
        if expand_tasks:
            more = any(len(job.settings.get(name, ())) > PAGE_SIZE for name in _ARRAYS)
            settings = {
                name: value[:PAGE_SIZE] if name in _ARRAYS else value
                for name, value in job.settings.items()
            }
            item = {**self._envelope(job), "settings": settings}
            return {**item, "has_more": True} if more else item
        hidden = {"tasks", "job_clusters"}
        settings = {name: value for name, value in job.settings.items() if name not in hidden}
        return {**self._envelope(job), "settings": settings}

    def _envelope(self, job: Job) -> dict[str, Any]:
        return {
            "job_id": job.job_id,
            "creator_user_name": self._identity.user_name,
            "run_as_user_name": self._identity.user_name,
            "created_time": job.created,
        }

    def _run_now(self, request: requests.RunNow, _version: Version) -> Mapping[str, Any]:
        self._engine.prepare()
        run_id = self._runs.run_now(
            request.job_id,
            request.parameters,
            only=tuple(request.only),
            queue=None if request.queue is None else request.queue.enabled,
            token=request.idempotency_token or None,
        )
        return {"run_id": run_id, "number_in_job": run_id}


def _checked(values: Mapping[str, Any], version: Version) -> dict[str, Any]:
    # Jobs of API 2.2 queue unless they say otherwise, those of older versions do not.
    return job_settings(values, queue_default=version == "2.2")


def list_limit(limit: int, maximum: int) -> int:
    """Return the page size of a list; 0 asks for the largest.

    Raises:
        ApiError: It is too large.
    """
    if limit > maximum:
        raise invalid(f"limit must be between 1 and {maximum}, not {limit}.")
    return limit or maximum


def list_answer(
    name: str,
    items: Sequence[Mapping[str, Any]],
    skip: int,
    limit: int,
    *,
    more: bool,
    version: Version,
) -> dict[str, Any]:
    """Return a page of a list with the tokens of its neighbours."""
    answer: dict[str, Any] = {name: items} if items else {}
    if more:
        answer["next_page_token"] = paging.encode(skip + limit)
    if skip:
        answer["prev_page_token"] = paging.encode(max(0, skip - limit))
    # 2.2 has dropped it: there the token tells.
    return answer if version == "2.2" else {**answer, "has_more": more}

"""The pages' addresses. They need no token: they are read-only and answer on the loopback only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from blocks.local.workspace.clock import now
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.pages.graph import BOX_HEIGHT, BOX_WIDTH, layout
from blocks.local.workspace.pages.templating import TEMPLATES
from blocks.local.workspace.parameters import job_parameters
from blocks.local.workspace.runs import Attempt, Run
from blocks.local.workspace.specs import task_specs
from blocks.local.workspace.store import Store

_RUNS_SHOWN = 50
_JOBS_SHOWN = 100

# Nothing from elsewhere, no inline scripts. Notebook outputs bring styles and images of their own.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:;"
    " connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


Id = Annotated[int, PathParameter(ge=0, lt=2**63)]


def add_pages(app: FastAPI, store: Store, identity: Identity) -> None:
    """Add the pages to the application.

    Args:
        app: The application.
        store: What the pages show.
        identity: Of the workspace.
    """
    pages = Pages(store, identity)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), "static")
    for path, page in (
        ("/", pages.index),
        ("/jobs/{job_id}", pages.job),
        ("/runs/{run_id}", pages.run),
    ):
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)


class Pages:
    """The pages.

    Args:
        store: What they show.
        identity: Of the workspace.
    """

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._identity = identity

    def index(self) -> Response:
        """Show jobs and recent runs; a script follows fragments like ``#job/1/run/2``."""
        jobs = self._store.jobs.list_page(name=None, skip=0, limit=_JOBS_SHOWN)
        runs = self._store.runs.list_page(skip=0, limit=_RUNS_SHOWN)
        return _page("index.html", jobs=jobs, runs=runs, alive=_any_alive(runs))

    def job(self, job_id: Id) -> Response:
        """Show a job, its tasks and its runs as a matrix."""
        job = self._store.jobs.get(job_id)
        runs = self._store.runs.list_page(job_id=job_id, skip=0, limit=_RUNS_SHOWN)
        if job is None and not runs:
            return _missing(f"There is no job {job_id} in this workspace.")
        settings = runs[0].round.settings if job is None else job.settings
        return _page(
            "job.html",
            job_id=job_id,
            deleted=job is None,
            settings=settings,
            runs=runs,
            tasks=task_specs(settings).values(),
            alive=_any_alive(runs),
        )

    def run(self, run_id: Id) -> Response:
        """Show a run, or a task run with its notebook."""
        run = self._store.runs.get(run_id)
        if run is not None:
            return self._run(run)
        owner = self._store.runs.owner(run_id)
        run = None if owner is None else self._store.runs.get(owner)
        if run is None:
            return _missing(f"There is no run {run_id} in this workspace.")
        return self._task_run(run, run.attempt(run_id))

    def _run(self, run: Run) -> Response:
        latest = run.latest
        failed = [
            (attempt, self._store.outputs.get(attempt.run_id))
            for attempt in latest.values()
            if attempt.state.result in {"FAILED", "TIMEDOUT"}
        ]
        return _page(
            "run.html",
            run=run,
            latest=latest,
            graph=layout({key: attempt.task.depends_on for key, attempt in latest.items()}),
            box={"width": BOX_WIDTH, "height": BOX_HEIGHT},
            failed=failed,
            kept=_kept(run),
            parameters=job_parameters(run.round.settings, run.round.parameters.job),
            alive=not run.state.terminal,
            now=now(),
        )

    def _task_run(self, run: Run, attempt: Attempt) -> Response:
        return _page(
            "task_run.html",
            run=run,
            attempt=attempt,
            siblings=[item for item in run.attempts if item.task.key == attempt.task.key],
            output=self._store.outputs.get(attempt.run_id),
            cells=self._store.outputs.cells(attempt.run_id),
            started=self._store.runs.child(attempt.run_id),
            alive=not attempt.state.terminal,
            now=now(),
        )


def _kept(run: Run) -> set[tuple[str, int]]:
    """Return the tasks, with the rounds' positions, whose success a repair kept."""
    return {
        (attempt.task.key, position)
        for attempt in run.attempts
        if attempt.state.result == "SUCCESS"
        for position in range(attempt.round + 1, len(run.rounds))
    }


def _any_alive(runs: list[Run]) -> bool:
    return any(not run.state.terminal for run in runs)


def _missing(message: str) -> Response:
    return _page("missing.html", message=message, alive=False, status=404)


def _page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(
        TEMPLATES.get_template(template).render(values),
        status,
        {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"},
    )

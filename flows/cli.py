"""The command line ``renewables``.

Prefect is imported only by the commands that need it, after the settings that it reads from the
environment at import are in place.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from blocks.local.workspace.arguments import add_arguments, serve_with

STATE_DIR = Path(".renewables")
PROJECT = Path(__file__).resolve().parents[1]
WORK_POOL = "renewables"
PREFECT = (sys.executable, "-m", "prefect")
# A worker gives a flow run half a minute to end, then it kills it and runs its hooks.
_CANCEL_SECONDS = 45.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        if options.embedded:
            from blocks.local.installed import check_installed

            check_installed(shlex.join(["renewables", *arguments]))
        status: int = options.command(options)
    except KeyboardInterrupt:
        _say("Interrupted.")
        return 130
    except _reportable() as error:
        _say(f"error: {error}")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="renewables",
        description="Run Databricks notebooks from Prefect, here or in the cloud.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the whole pipeline once, on this machine")
    run.set_defaults(command=_run, embedded=True)
    run.add_argument("--country", required=True, help="country or region, as the sources spell it")
    run.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="PATH_OR_URL",
        help="CSV file of one source of electricity; repeatable (default: a synthetic sample)",
    )
    run.add_argument(
        "--output", default="output", metavar="DIR", help="where the chart goes (default: output/)"
    )
    run.add_argument(
        "--prefect-api", metavar="URL", help="use a running Prefect server instead of one of ours"
    )
    run.add_argument(
        "--json", action="store_true", help="print the result as one JSON object, last on stdout"
    )

    up = commands.add_parser("up", help="serve everything: Prefect UI, deployments, a worker")
    up.set_defaults(command=_up, embedded=True)
    up.add_argument(
        "--prefect-api", metavar="URL", help="use a running Prefect server instead of one of ours"
    )

    workspace = commands.add_parser("workspace", help="start the local Databricks workspace alone")
    workspace.set_defaults(command=serve_with, embedded=True)
    add_arguments(workspace, STATE_DIR / "workspace")

    blocks = commands.add_parser(
        "blocks", help="create or update the block documents from the environment and .env"
    )
    blocks.set_defaults(command=_blocks, embedded=False)
    return parser


def _reportable() -> tuple[type[Exception], ...]:
    """Errors that are sentences for the user; any other one is a defect and keeps its trace."""
    from blocks.local.children import StackError

    return (StackError, OSError)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class _Progress(logging.Handler):
    """Shows what this project says through Prefect's loggers, and not what Prefect says itself."""

    started: float

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record of ours with the seconds since the start."""
        if Path(record.pathname).is_relative_to(Path(__file__).parent):
            self.say(record.getMessage())

    def say(self, text: str) -> None:
        """Print one line of progress."""
        _say(f"{time.monotonic() - self.started:6.1f} s  {text}")

    __hash__ = logging.Handler.__hash__


@contextmanager
def _stack(options: argparse.Namespace, progress: _Progress, module: str) -> Iterator[str]:
    """Start the embedded stack, register its block documents, and give the Prefect API's URL.

    Args:
        options: The command's.
        progress: Told what is ready.
        module: What is imported meanwhile, because that takes as long as a Prefect server.
    """
    from blocks.local.stack import embedded_stack

    own_server = options.prefect_api is None
    if own_server:
        os.environ["PREFECT_HOME"] = str((STATE_DIR / "prefect").absolute())
    importing = threading.Thread(target=import_module, args=(module,))
    importing.start()
    with embedded_stack(STATE_DIR, prefect_server=own_server, on_progress=progress.say) as stack:
        importing.join()
        from prefect.settings import PREFECT_API_URL, temporary_settings

        from blocks.registration import Settings, register

        details = {key.lower(): value for key, value in stack.environment().items()}
        api = options.prefect_api or str(stack.prefect_api_url)
        with temporary_settings({PREFECT_API_URL: api}):
            register(Settings.model_validate(details))
            yield api


def _run(options: argparse.Namespace) -> int:
    progress = _Progress(time.monotonic())
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    with _stack(options, progress, "flows.renewable_analysis"):
        from flows.renewable_analysis import renewable_analysis
        from flows.run_report import run_report

        loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
        for logger in loggers:
            logger.addHandler(progress)
        try:
            state = renewable_analysis(
                options.country, options.source, output=options.output, return_state=True
            )
            report = run_report(options.country, state)
        finally:
            # What is still queued for the API has to leave before the server does.
            for handler in {handler for logger in loggers for handler in logger.handlers}:
                handler.flush()
    if state.is_completed():
        _say(f"Chart: {report['chart']}\nData:  {report['data']}")
    else:
        _say(f"error: {report['error']}")
    if options.json:
        print(json.dumps(report), flush=True)
    return 0 if state.is_completed() else 1


def _up(options: argparse.Namespace) -> int:
    from blocks.local.children import Children
    from blocks.local.keeper import kept
    from blocks.local.serving import served_once

    progress = _Progress(time.monotonic())
    # Ctrl-C and a service manager's SIGTERM end in the same clean stop.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        served_once(STATE_DIR) as announce,
        _stack(options, progress, "blocks.registration") as api,
        Children() as children,
    ):
        os.environ["PREFECT_API_URL"] = api  # for the commands below
        _make_work_pool()
        # The worker starts while the deployments are made: each takes seconds to import Prefect.
        worker = children.start(
            "Prefect worker",
            kept([*PREFECT, "worker", "start", "--pool", WORK_POOL], stop_signal=signal.SIGINT),
            log=STATE_DIR / "logs" / "worker.log",
            folder=PROJECT,
            # Who has just submitted the form is watching, and a question costs little here.
            environment={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "2"},
        )
        _deploy()
        progress.say("Deployments are up to date")
        ui = api.removesuffix("/api")
        announce(ui)
        print(ui, "ready", sep="\n", flush=True)
        try:
            worker.process.wait()
        except KeyboardInterrupt:
            if options.prefect_api is None:
                _cancel_flow_runs(progress)
            raise
        _say(f"error: {worker.complaint('ended')}")
    return 1


def _cancel_flow_runs(progress: _Progress) -> None:
    """Cancel the flow runs of the worker, which it ends in good order only as long as it runs."""
    from prefect import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelling

    states = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    alive = FlowRunFilter(state=FlowRunFilterState(type=states))
    deadline = time.monotonic() + _CANCEL_SECONDS
    with get_client(sync_client=True) as client:
        for each in client.read_flow_runs(flow_run_filter=alive):
            progress.say(f"Cancelling flow run {each.name}")
            client.set_flow_run_state(each.id, Cancelling())
        while client.read_flow_runs(flow_run_filter=alive) and time.monotonic() < deadline:
            time.sleep(0.5)


def _make_work_pool() -> None:
    """Make the work pool of ``prefect.yaml``; one that exists stays as it is."""
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=WORK_POOL, type=ProcessWorker.type, base_job_template=template)
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(pool)


def _deploy() -> None:
    """Deploy what is in ``prefect.yaml``.

    Raises:
        StackError: It failed; the message is Prefect's output.
    """
    from blocks.local.children import StackError

    command = [*PREFECT, "--no-prompt", "deploy", "--all"]
    done = subprocess.run(  # noqa: S603  # our own command
        command, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StackError(f"The deployment failed: {done.stdout}{done.stderr}")


def _blocks(_: argparse.Namespace) -> int:
    from blocks.registration import IncompleteSettingsError, register, settings_from_environment

    try:
        settings = settings_from_environment()
    except IncompleteSettingsError as error:
        _say(f"error: {error}")
        return 1
    for name in register(settings):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

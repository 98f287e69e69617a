"""The process that starts a group of servers, watches them and stops them.

``python -m blocks.local.supervisor STATE_DIR GROUP``, started by the first client (see ``lease``).
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from blocks.local import object_store, postgres, prefect_server, workspace_process
from blocks.local.children import Children, StackError
from blocks.local.lease import CORE, PREFECT, Group, Report, lock

WATCH_SECONDS = 0.5

Start = Callable[[], Mapping[str, str]]
"""Starts one server; returns how to reach it when it answers."""


@dataclass(frozen=True)
class _Ready:
    server: str
    details: Mapping[str, str]


@dataclass(frozen=True)
class _Failed:
    reason: str


class _Unused:
    """The last lease is gone."""


def supervise(group: Group) -> None:
    """Start the servers of a group side by side; stop them when the last lease is gone."""
    # What a killed predecessor started may still be stopping.
    servers_lock = lock(group.servers)
    events: SimpleQueue[_Ready | _Failed | _Unused] = SimpleQueue()
    with Children(inherited=[servers_lock]) as children:
        servers = GROUPS[group.name](children, group.state_dir)
        for name, start in servers.items():
            threading.Thread(target=_start, args=(name, start, events), daemon=True).start()
        threading.Thread(target=_wait_for_last_lease, args=(group, events), daemon=True).start()
        failure = _watch(group, len(servers), children, events)
        group.remove_report()
    if failure:
        group.write_report(Report(os.getpid(), failure=failure))


def _watch(
    group: Group,
    count: int,
    children: Children,
    events: SimpleQueue[_Ready | _Failed | _Unused],
) -> str | None:
    """Report what becomes ready, until the group is unused; return what broke it before, if any."""
    report = Report(os.getpid())
    group.write_report(report)
    while True:
        try:
            event = events.get(timeout=WATCH_SECONDS)
        except Empty:
            ended = children.ended()
            if ended and report.complete:
                return ended.complaint("ended unexpectedly")
            continue
        match event:
            case _Ready(server, details):
                ready = (*report.ready, server)
                report = replace(
                    report,
                    ready=ready,
                    complete=len(ready) == count,
                    details=report.details | dict(details),
                )
                group.write_report(report)
            case _Failed(reason):
                return reason
            case _Unused():
                return None


def _start(name: str, start: Start, events: SimpleQueue[_Ready | _Failed | _Unused]) -> None:
    try:
        events.put(_Ready(name, start()))
    except StackError as error:
        events.put(_Failed(str(error)))
    except Exception as error:  # noqa: BLE001 (a client waits for the thread's last word)
        traceback.print_exc()
        events.put(_Failed(f"{name} did not start: {error}"))


def _wait_for_last_lease(group: Group, events: SimpleQueue[_Ready | _Failed | _Unused]) -> None:
    lock(group.leases)  # never let go: the end of the process does that
    events.put(_Unused())


def _core(children: Children, state_dir: Path) -> dict[str, Start]:
    """Database, object store, and the workspace that works on it."""
    logs = state_dir / "logs"
    store_folder = state_dir / "object-store"
    store = object_store.reserve(store_folder)

    def start_postgres() -> dict[str, str]:
        url = postgres.start(children, state_dir / "postgres", logs / "postgres.log")
        return {"database_url": url}

    def start_object_store() -> dict[str, str]:
        object_store.start(children, store, store_folder, logs / "object-store.log")
        return {
            "s3_endpoint": store.endpoint,
            "s3_region": store.region,
            "s3_access_key": store.access_key,
            "s3_secret_key": store.secret_key,
            "s3_bucket": store.bucket,
        }

    def start_workspace() -> dict[str, str]:
        workspace = workspace_process.start(
            children,
            state_dir / "workspace",
            logs / "workspace.log",
            object_store=store.environment(),
        )
        return {
            "workspace_url": workspace.url,
            "workspace_token": workspace.token,
            "workspace_ca_file": workspace.ca_file,
        }

    return {
        postgres.NAME: start_postgres,
        object_store.NAME: start_object_store,
        workspace_process.NAME: start_workspace,
    }


def _prefect(children: Children, state_dir: Path) -> dict[str, Start]:
    """The Prefect server, with a database of its own: not every client needs one."""
    logs = state_dir / "logs"

    def start() -> dict[str, str]:
        database = postgres.start(
            children, state_dir / "prefect-postgres", logs / "prefect-postgres.log"
        )
        url = prefect_server.start(
            children, state_dir / "prefect", logs / "prefect-server.log", database
        )
        return {"prefect_api_url": url}

    return {prefect_server.NAME: start}


GROUPS: Mapping[str, Callable[[Children, Path], dict[str, Start]]] = {
    CORE: _core,
    PREFECT: _prefect,
}
"""The groups that can be leased, each with the function that names its servers."""


if __name__ == "__main__":
    supervise(Group(Path(sys.argv[1]), sys.argv[2]))

"""The process that starts a group of servers, watches them and stops them.

``python -m blocks.local.supervisor STATE_DIR GROUP LOCK``, started by the first client (see
``lease``), which hands over the descriptor of the supervisor's lock.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue

from blocks.local import object_store, postgres, prefect_server, workspace_process
from blocks.local.children import Children, StackError
from blocks.local.lease import Group, Report, lock

WATCH_SECONDS = 0.5

Start = Callable[[], Mapping[str, str]]
"""Starts one server; returns how to reach it when it answers."""


def main() -> int:
    """Supervise the group of the command line until nobody needs it any more."""
    state_dir, name, lock_descriptor = sys.argv[1:]
    os.set_inheritable(int(lock_descriptor), False)  # noqa: FBT003 (positional in the library)
    supervise(Group(Path(state_dir), name))
    return 0


def supervise(group: Group) -> None:
    """Start the servers of a group side by side; stop them when the last lease is gone."""
    # What a killed predecessor started may still be stopping.
    servers_lock = lock(group.servers)
    events: SimpleQueue[_Event] = SimpleQueue()
    with Children(inherited=[servers_lock]) as children:
        servers = GROUPS[group.name](children, group.state_dir)
        for name, start in servers.items():
            _in_background(lambda name=name, start=start: _start(name, start, events))
        _in_background(lambda: _wait_for_last_lease(group, events))
        report = _watch(group, len(servers), children, events)
        if report.failure is None:
            group.remove_report()
    object_store.tidy(group.state_dir / "object-store")
    if report.failure is not None:
        group.write_report(report)

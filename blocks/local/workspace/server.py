"""The server: one process that serves a state folder until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from ssl import SSLContext

import uvicorn
from fastapi import FastAPI

from blocks.local.workspace.app import make_app
from blocks.local.workspace.certificates import ensure_ca, server_context, write_private
from blocks.local.workspace.engine import Engine
from blocks.local.workspace.errors import CannotStartError
from blocks.local.workspace.executor import SparkExecutor
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.faults.connection import CuttableProtocol
from blocks.local.workspace.identity import Identity
from blocks.local.workspace.listening import listen, port_of
from blocks.local.workspace.options import Options
from blocks.local.workspace.overlay import Pip
from blocks.local.workspace.state_dir import open_state_dir
from blocks.local.workspace.store import Store
from blocks.local.workspace.switches import Switches

_GRACE_SECONDS = 0.5


def serve(
    *,
    port: int,
    state_dir: Path,
    http: bool = False,
    faults: bool = False,
    options: Options | None = None,
    switches: Switches | None = None,
    ready_file: Path | None = None,
    stop_on_stdin_eof: bool = False,
) -> int:
    """Serve a workspace until SIGTERM or SIGINT.

    When it answers, one line of JSON goes to standard output: ``url``, ``http_url`` (null without
    ``http``), ``token``, ``ca_file`` and ``pid``.

    Args:
        port: HTTPS port on the loopback addresses; 0 for any free one.
        state_dir: Where everything is kept; made if it is missing.
        http: Whether to serve plain HTTP too, on a free port.
        faults: Whether faults can be asked for at ``/local/faults``, and requests are kept for
            ``/local/journal``.
        options: How tasks are executed.
        switches: Rules that the cloud leaves open.
        ready_file: Also gets the line; only its owner may read it.
        stop_on_stdin_eof: Also stop when standard input is closed, which happens when the process
            that holds its other end is gone.

    Returns:
        Exit status: 0, or 1 with a sentence on standard error if the server could not start.
    """
    try:
        with (
            open_state_dir(state_dir.expanduser().resolve()) as folder,
            contextlib.ExitStack() as stack,
        ):
            sockets = stack.enter_context(listen(port))
            http_sockets = stack.enter_context(listen(0)) if http else []
            identity = Identity(f"https://localhost:{port_of(sockets)}")
            token = folder.token()
            store = Store(folder.database)
            stack.callback(store.close)
            fault_book = FaultBook()
            options, switches = options or Options(), switches or Switches()
            engine = Engine(
                store,
                SparkExecutor(),
                identity,
                pip=Pip(folder.path / "pip") if options.libraries_installed else None,
                due_fault=fault_book.for_task,
                options=options,
                switches=switches,
            )
            app = make_app(store, engine, identity, token, switches, fault_book, side_api=faults)
            servers = [(_server(app, server_context(folder.path)), sockets)]
            if http:
                servers.append((_server(app, None), http_sockets))
            engine.start()
            stack.callback(engine.close)
            ready = {
                "url": identity.url,
                "http_url": f"http://localhost:{port_of(http_sockets)}" if http else None,
                "token": token,
                "ca_file": str(ensure_ca(folder.path)),
                "pid": os.getpid(),
            }
            asyncio.run(_run(servers, json.dumps(ready), ready_file, stop_on_stdin_eof))
    except CannotStartError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The local workspace could not start: {error}", file=sys.stderr)
        return 1
    return 0


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us, because two of them share the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: FastAPI, context: SSLContext | None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=CuttableProtocol,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
    )


async def _run(
    servers: list[tuple[_Server, list[socket.socket]]],
    ready: str,
    ready_file: Path | None,
    stop_on_stdin_eof: bool,
) -> None:
    loop = asyncio.get_running_loop()

    def force() -> None:
        for server, _ in servers:
            server.force_exit = True

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True
        # Idle clients keep their connections open; requests that are being answered end sooner.
        loop.call_later(_GRACE_SECONDS, force)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if stop_on_stdin_eof:
        threading.Thread(target=_wait_for_eof, args=(loop, stop), name="stdin", daemon=True).start()
    tasks = [loop.create_task(server.serve(sockets=sockets)) for server, sockets in servers]
    while not all(server.started or server.should_exit for server, _ in servers):
        await asyncio.sleep(0.005)
    if ready_file is not None:
        write_private(ready_file, ready.encode())
    print(ready, flush=True)
    await asyncio.gather(*tasks)


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stop)

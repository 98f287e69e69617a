"""A process that has loaded the server and forks a workspace for whoever asks: for tests.

Most of the time that a workspace takes to start goes into imports. Here they are done once; each
workspace is still a process of its own, with a state folder, environment and output of its own.

``start`` is what a test calls; everything else happens in the other processes. They end when the
process that called it ends, however that happens.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def start(arguments: Sequence[str]) -> socket.socket:
    """Start a workspace in this process's environment and working directory.

    Args:
        arguments: As of ``python -m blocks.local.workspace``.

    Returns:
        Its standard input and output. It ends when this is closed.
    """
    ours, theirs = socket.socketpair()
    request = {
        "arguments": list(arguments),
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
    }
    with theirs:
        socket.send_fds(_server(), [b"."], [theirs.fileno(), 2])
    ours.sendall(json.dumps(request).encode() + b"\n")
    return ours


@functools.cache
def _server() -> socket.socket:
    """Start the process that forks, once, and return the socket that it listens to."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def main() -> int:
    """Fork a workspace for each request; in a forked process, serve it."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # Children are not waited for, and whoever presses Ctrl-C wants the tests to end it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "darwin":
        from blocks.local.workspace import server  # noqa: F401 (loaded for the forked processes)

        gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not message:
            return 0
        stream, errors = descriptors
        # On macOS a process that uses system frameworks cannot be forked safely.
        if sys.platform == "darwin":
            command = [sys.executable, "-c", f"from {__spec__.name} import serve; serve()"]
            subprocess.Popen(command, stdin=stream, stdout=stream, stderr=errors)  # noqa: S603 (our own module)
        elif os.fork() == 0:
            control.close()
            for target, source in enumerate((stream, stream, errors)):
                os.dup2(source, target)
            for descriptor in descriptors:
                os.close(descriptor)
            return serve()
        os.close(stream)
        os.close(errors)


def serve() -> int:
    """Serve the workspace that the first line of standard input asks for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    line = bytearray()
    # Byte by byte: what follows belongs to the server.
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return 1
        line += byte
    request = json.loads(line)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    # Not at the top: multiprocessing imports the main module again for the notebooks' processes.
    from blocks.local.workspace.arguments import parse_arguments, serve_with

    return serve_with(parse_arguments(request["arguments"]))


if __name__ == "__main__":
    sys.exit(main())

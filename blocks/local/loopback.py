"""The loopback interface, where all parts of the embedded stack listen."""

from __future__ import annotations

import contextlib
import socket
import urllib.request

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return different TCP ports of the loopback interface that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port of the loopback interface."""
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def answers(url: str) -> bool:
    """Return whether a GET of a loopback URL succeeds within a second."""
    # No proxy: one that the user has for the outside must not be asked for the inside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1):
            return True
    except OSError:
        return False

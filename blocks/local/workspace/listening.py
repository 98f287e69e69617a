"""Sockets on the loopback addresses, the only ones that a workspace listens on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

from blocks.local.workspace.errors import CannotStartError

_TRIES = 20


@contextlib.contextmanager
def listen(port: int) -> Iterator[list[socket.socket]]:
    """Listen with one port on every loopback address, as ``localhost`` may mean any of them.

    Args:
        port: The port; 0 for any that is free on all of them.

    Raises:
        CannotStartError: The port is taken, or is none.
    """
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(item) for item in _listening(port)]


def port_of(sockets: Sequence[socket.socket]) -> int:
    """Return the port that sockets share."""
    return int(sockets[0].getsockname()[1])


def _listening(port: int) -> list[socket.socket]:
    # A free port may be taken on the second address: then another one is tried.
    for _ in range(1 if port else _TRIES):
        sockets: list[socket.socket] = []
        try:
            sockets.append(_listener(socket.AF_INET, "127.0.0.1", port))
            if _has_ipv6():
                sockets.append(_listener(socket.AF_INET6, "::1", port_of(sockets)))
        except (OSError, OverflowError):
            for item in sockets:
                item.close()
        else:
            return sockets
    raise CannotStartError(f"Port {port} on the loopback addresses is not free: choose another.")


def _listener(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off, 40 ms an answer, only where TCP is named.
    item = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        item.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        item.bind((address, port))
        item.listen()
    except BaseException:
        item.close()
        raise
    return item


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False

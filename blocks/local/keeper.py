"""Keep one foreign program running for as long as the process that asked for it lives.

``python keeper.py SIGNAL GRACE USER LEFTOVERS PROGRAM [ARGUMENT …]`` runs the program and watches
its own standard input. When that pipe closes, because the other end stopped the program or was
killed, the program gets SIGNAL; when it has not ended GRACE seconds later, it is killed with all
that it started. This works on every Unix, where "die with your parent" is a feature of Linux alone.

It is run by its path and without site-packages, so it imports nothing but the standard library.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


def kept(
    command: list[str],
    *,
    stop_signal: signal.Signals,
    grace: float = 10,
    user: str | None = None,
    leftovers: Sequence[Path] = (),
) -> list[str]:
    """Return the command line that runs a program under a keeper.

    Args:
        command: The program and its arguments.
        stop_signal: What asks the program to stop in good order.
        grace: Seconds that it has to stop; then it is killed.
        user: The system user to run it as; None for the current one. Only root may choose.
        leftovers: Files that it does not always remove when it stops.
    """
    keeper = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    files = os.pathsep.join(str(file) for file in leftovers)
    return [*keeper, stop_signal.name, str(grace), user or "", files, *command]


def main() -> int:
    """Run the program of the command line; return its exit status, as a shell would."""
    signal_name, grace, user, files, *command = sys.argv[1:]
    stop_signal = signal.Signals[signal_name]
    leftovers = [Path(file) for file in files.split(os.pathsep) if file]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        program = _run(command, user)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 127

    def stop_program() -> None:
        stop.wait()
        program.send_signal(stop_signal)
        try:
            program.wait(float(grace))
        except subprocess.TimeoutExpired:
            _remove(leftovers)
            os.killpg(0, signal.SIGKILL)  # the keeper leads the group: this ends it too

    threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
    threading.Thread(target=stop_program, daemon=True).start()
    status = program.wait()
    _remove(leftovers)
    return status if status >= 0 else 128 - status


def _run(command: list[str], user: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own commands)
        command,
        stdin=subprocess.DEVNULL,
        user=user or None,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def _wait_for_end_of_input(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())

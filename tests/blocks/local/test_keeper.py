from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from blocks.local.keeper import kept

IGNORES_SIGTERM = "import signal, time; signal.signal(15, lambda *_: None); print(flush=True); "
SLEEPS = "import time; time.sleep(600)"


def start(code: str, grace: float = 10, leftovers: Sequence[Path] = ()) -> subprocess.Popen[bytes]:
    command = kept(
        [sys.executable, "-c", code],
        stop_signal=signal.SIGTERM,
        grace=grace,
        leftovers=leftovers,
    )
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


def program_of(keeper: subprocess.Popen[bytes]) -> psutil.Process:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = psutil.Process(keeper.pid).children()
        if children:
            return children[0]
        time.sleep(0.02)
    raise AssertionError("the keeper started nothing")


def test_returns_the_exit_status_of_its_program() -> None:
    with start("raise SystemExit(7)") as keeper:
        assert keeper.wait(10) == 7


def test_names_a_program_that_cannot_be_run() -> None:
    command = kept(["/nowhere/weed"], stop_signal=signal.SIGTERM)
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert result.returncode == 127
    assert result.stderr.decode() == "cannot run /nowhere/weed: No such file or directory\n"


def test_stops_its_program_with_the_signal_when_its_input_ends(tmp_path: Path) -> None:
    leftovers = [tmp_path / "there", tmp_path / "not there"]
    leftovers[0].touch()
    with start(SLEEPS, leftovers=leftovers) as keeper:
        program = program_of(keeper)
        keeper.communicate()
    assert keeper.returncode == 128 + signal.SIGTERM
    assert not program.is_running()
    assert not leftovers[0].exists()


def test_stops_its_program_when_it_is_asked_to_end_itself() -> None:
    with start(SLEEPS) as keeper:
        program = program_of(keeper)
        keeper.terminate()
        assert keeper.wait(10) == 128 + signal.SIGTERM
    assert not program.is_running()


def test_kills_a_program_that_does_not_stop_and_what_it_started(tmp_path: Path) -> None:
    leftover = tmp_path / "socket"
    leftover.touch()
    code = f"import subprocess; subprocess.Popen(['sleep', '600']); {IGNORES_SIGTERM} {SLEEPS}"
    with start(code, grace=0.3, leftovers=[leftover]) as keeper:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        family = psutil.Process(keeper.pid).children(recursive=True)
        assert len(family) == 2
        keeper.communicate()
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert not leftover.exists()


def test_stops_its_program_when_the_parent_is_killed() -> None:
    parent_code = (
        "import subprocess, sys, time\n"
        "keeper = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "time.sleep(600)\n"
    )
    command = kept([sys.executable, "-c", SLEEPS], stop_signal=signal.SIGTERM)
    with subprocess.Popen([sys.executable, "-c", parent_code, *command]) as parent:
        deadline = time.monotonic() + 10
        family: list[psutil.Process] = []
        while len(family) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
            family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 2
        parent.kill()
    assert psutil.wait_procs(family, timeout=5)[1] == []

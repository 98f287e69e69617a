from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil

from blocks.local.keeper import kept

IGNORES_SIGTERM = "import signal, time; signal.signal(15, lambda *_: None); print(flush=True); "
SLEEPS = "import time; time.sleep(600)"


def start(code: str, grace: float = 10) -> subprocess.Popen[bytes]:
    command = kept([sys.executable, "-c", code], stop_signal=signal.SIGTERM, grace=grace)
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


def test_stops_its_program_with_the_signal_when_its_input_ends() -> None:
    with start(SLEEPS) as keeper:
        program = program_of(keeper)
        keeper.communicate()
    assert keeper.returncode == 128 + signal.SIGTERM
    assert not program.is_running()


def test_stops_its_program_when_it_is_asked_to_end_itself() -> None:
    with start(SLEEPS) as keeper:
        program = program_of(keeper)
        keeper.terminate()
        assert keeper.wait(10) == 128 + signal.SIGTERM
    assert not program.is_running()


def test_kills_a_program_that_does_not_stop_and_what_it_started() -> None:
    code = f"import subprocess; subprocess.Popen(['sleep', '600']); {IGNORES_SIGTERM} {SLEEPS}"
    with start(code, grace=0.3) as keeper:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        family = psutil.Process(keeper.pid).children(recursive=True)
        assert len(family) == 2
        keeper.communicate()
    assert psutil.wait_procs(family, timeout=5)[1] == []


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

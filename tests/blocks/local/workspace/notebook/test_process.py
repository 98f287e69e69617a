"""Notebooks as processes: what they see, how they end, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from blocks.local.workspace.notebook.cluster import SparkCluster
from blocks.local.workspace.notebook.contract import Host, NotebookOutcome
from blocks.local.workspace.notebook.process import prepare
from tests.blocks.local.workspace.notebook.desk import Desk, printed

SLEEP = (
    "import pathlib, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "pathlib.Path({!r}).write_text(f'{{child.pid}}')\n"
    "time.sleep(600)"
)


def text_of(path: Path) -> str:
    """Wait until a file has a text, and return it."""
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    return path.read_text()


def running(pid: int) -> bool:
    try:
        # Where the first process of a container reaps nobody, what has ended remains as a zombie.
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return status != str(psutil.STATUS_ZOMBIE)


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 2
    while any(map(running, pids)):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.01)


def test_a_notebook_sees_nothing_of_the_workspace(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("DATABRICKS_TOKEN", "secret")
    outcome = desk.run("import os\nprint(sorted(os.environ))\nprint(os.listdir(), os.getcwd())")
    names, folder = printed(outcome).splitlines()
    assert "SPARK_REMOTE" in names
    assert not any(prefix in names for prefix in ("AWS", "DATABRICKS", "PREFECT", "TOKEN"))
    assert tempfile.gettempdir() in folder
    assert not Path(folder.split()[-1]).exists()


def test_what_a_notebook_leaves_running_ends_with_it(desk: Desk, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    outcome = desk.run(SLEEP.format(str(noted)).removesuffix("time.sleep(600)"))
    assert outcome.status == "succeeded"
    wait_until_gone(int(noted.read_text()))


def test_a_killed_notebook_is_lost_with_its_children(desk: Desk, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    process = desk.process("print('before')", SLEEP.format(str(noted)), "print('never')")
    process.start()
    outcomes: list[NotebookOutcome] = []
    waiting = threading.Thread(target=lambda: outcomes.append(process.wait()))
    waiting.start()
    child = int(text_of(noted))
    pid = process.pid
    assert pid is not None
    process.kill()
    wait_until_gone(pid, child)
    waiting.join(5)
    (outcome,) = outcomes
    assert outcome.status == "lost"
    assert "ended without a result" in outcome.error
    first, second, third = outcome.cells
    assert first.outputs[0].data == "before\n"
    assert second.started
    assert not second.finished
    assert not third.started
    process.kill()
    assert process.wait() == outcome


def test_a_notebook_that_is_killed_before_its_start_never_runs(desk: Desk) -> None:
    process = desk.process("print('never')")
    process.kill()
    process.start()
    assert process.pid is None
    assert process.wait().status == "lost"


def test_a_notebook_that_was_not_started_is_not_waited_for(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        desk.process("1").wait()


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        # A child that holds all pipes open.
        "import os, time\nif os.fork():\n    os._exit(0)\ntime.sleep(600)",
    ],
)
def test_a_process_that_dies_without_a_word_is_lost(desk: Desk, code: str) -> None:
    outcome = desk.run("print('before')", code)
    assert outcome.status == "lost"
    assert outcome.cells[0].finished
    assert not outcome.cells[1].finished


def test_a_killed_notebook_leaves_no_folder_even_if_nobody_waits(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = desk.process("import time\ntime.sleep(600)")
    process.start()
    while not desk.changes:
        with pytest.raises(TimeoutError):
            process.wait(0.01)
    assert list(tmp_path.glob("notebook-*"))
    process.kill()
    assert list(tmp_path.glob("notebook-*")) == []


def test_waiting_can_be_given_up_and_taken_up_again(desk: Desk, tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = desk.process(
        f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.01)"
    )
    process.start()
    with pytest.raises(TimeoutError, match="not ended in time"):
        process.wait(0.1)
    go.touch()
    assert process.wait(60).status == "succeeded"


def test_notebooks_run_side_by_side(desk: Desk, tmp_path: Path) -> None:
    meet = (
        "import pathlib, time\n"
        "mine, other = (pathlib.Path({!r}) / name for name in {!r})\n"
        "mine.touch()\n"
        "while not other.exists():\n    time.sleep(0.01)"
    )
    both = [desk.process(meet.format(str(tmp_path), names)) for names in ("ab", "ba")]
    for process in both:
        process.start()
    assert [process.wait(60).status for process in both] == ["succeeded", "succeeded"]


class FaultyDesk(Desk):
    def secret(self, scope: str, key: str) -> str:
        raise OSError("the disk of the workspace is full")


def test_a_fault_of_the_host_ends_the_notebook_and_is_raised(desk: Desk) -> None:
    faulty: Host = FaultyDesk(desk.spark_remote)
    assert isinstance(faulty, FaultyDesk)
    process = faulty.process("dbutils.secrets.get('a', 'b')")
    process.start()
    with pytest.raises(OSError, match="disk of the workspace"):
        process.wait(60)
    assert process.wait().status == "lost"
    assert process.pid is not None
    wait_until_gone(process.pid)


def test_what_native_code_prints_stays_out_of_the_output_of_the_workspace(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.run("import os\nos.write(1, b'stray')\nos.write(2, b'stray')")
    assert "stray" not in "".join(capfd.readouterr())


def test_a_notebook_fails_when_its_cluster_dies(tmp_path: Path) -> None:
    cluster = SparkCluster.start()
    up, down = tmp_path / "up", tmp_path / "down"
    process = Desk(cluster.remote).process(
        "import pathlib, time\nspark.range(1).count()",
        f"pathlib.Path({str(up)!r}).write_text('up')",
        f"while not pathlib.Path({str(down)!r}).exists():\n    time.sleep(0.01)",
        "spark.range(1).count()",
    )
    process.start()

    def stop_cluster() -> None:
        text_of(up)
        cluster.stop()
        down.touch()

    stopping = threading.Thread(target=stop_cluster)
    stopping.start()
    outcome = process.wait(60)
    stopping.join()
    assert outcome.status == "failed"
    assert outcome.error.startswith("SparkConnectGrpcException: ")
    assert process.pid is not None
    wait_until_gone(process.pid)


def test_preparing_twice_does_no_harm() -> None:
    prepare()
    prepare()


WORKSPACE = """
import sys
from tests.blocks.local.workspace.notebook.desk import Desk
from tests.blocks.local.workspace.notebook.test_process import SLEEP
from blocks.local.workspace.notebook.cluster import SparkCluster

if __name__ == "__main__":
    cluster = SparkCluster.start()
    process = Desk(cluster.remote).process(SLEEP.format(sys.argv[1]))
    process.start()
    print(cluster.pid, process.pid, flush=True)
    process.wait()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_workspace(tmp_path: Path, how: signal.Signals) -> None:
    script, noted = tmp_path / "workspace.py", tmp_path / "pid"
    script.write_text(WORKSPACE)
    root = Path(__file__).parents[5]
    workspace = subprocess.Popen(
        [sys.executable, str(script), str(noted)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(tmp_path)},
    )
    assert workspace.stdout is not None
    with workspace:
        pids = [int(pid) for pid in workspace.stdout.readline().split()]
        pids.append(int(text_of(noted)))
        workspace.send_signal(how)
        workspace.wait(5)
        wait_until_gone(*pids)
    assert list(tmp_path.glob("notebook-*")) == []
    assert list(tmp_path.glob("cluster-*")) == []

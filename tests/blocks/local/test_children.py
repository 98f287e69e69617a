from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from blocks.local.children import Children, StackError, environment_without, last_complaint
from blocks.local.loopback import answers, free_ports, is_free

READS_TO_THE_END = "import sys; sys.stdin.read()"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_children_stop_with_the_block_last_started_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    with Children() as children:
        for name in ("first", "second"):
            code = f"{READS_TO_THE_END}; open({str(order)!r}, 'a').write('{name} ')"
            children.start(
                name, python(code), log=tmp_path / name, folder=tmp_path, environment=os.environ
            )
    assert order.read_text() == "second first "


def test_no_child_is_started_any_more_once_the_children_are_stopped(tmp_path: Path) -> None:
    with Children() as children:
        pass
    with pytest.raises(StackError, match="Late was not started: the stack is being stopped"):
        children.start(
            "Late", python("1"), log=tmp_path / "log", folder=tmp_path, environment=os.environ
        )


def test_a_child_that_ends_early_is_reported_with_reason_and_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "server.log"
    code = "import sys; print('a secret'); sys.exit('fatal: port 1 is taken')"
    with Children() as children:
        child = children.start(
            "Server", python(code), log=log, folder=tmp_path, environment=os.environ
        )
        with pytest.raises(StackError) as raised:
            child.wait_until(lambda: False)
        assert children.ended() is child
    assert str(raised.value) == f"Server did not start: fatal: port 1 is taken (log: {log})"
    assert log.read_text() == "fatal: port 1 is taken\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_child_that_does_not_answer_in_time_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Children() as children:
        child = children.start(
            "Server", python(READS_TO_THE_END), log=log, folder=tmp_path, environment=os.environ
        )
        with pytest.raises(StackError, match=r"^Server did not answer within 0 s: it left no mess"):
            child.wait_until(lambda: False, within=0.1)
        assert children.ended() is None


def test_a_child_with_a_task_is_waited_for_and_forgotten(tmp_path: Path) -> None:
    with Children() as children:
        good = children.start(
            "Task", python("1"), log=tmp_path / "log", folder=tmp_path, environment=os.environ
        )
        children.finish(good)
        assert children.ended() is None
        bad = children.start(
            "Task", python("1 / 0"), log=tmp_path / "log", folder=tmp_path, environment=os.environ
        )
        with pytest.raises(StackError, match="Task failed: ZeroDivisionError: division by zero"):
            children.finish(bad)


def test_children_keep_what_they_inherit_open(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with Children(inherited=[writer]) as children:
        children.start(
            "Writer",
            python(f"import os; os.write({writer}, b'inherited')"),
            log=tmp_path / "log",
            folder=tmp_path,
            environment=os.environ,
        )
        assert os.read(reader, 100) == b"inherited"
    os.close(reader)
    os.close(writer)


def test_a_child_is_stopped_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent_code = (
        "import os, sys, time, pathlib\n"
        "from blocks.local.children import Children\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        f"command = [sys.executable, '-c', {READS_TO_THE_END!r}]\n"
        "child = Children().start(\n"
        "    'Child', command, log=folder / 'log', folder=folder, environment=os.environ\n"
        ")\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [*python(parent_code), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([child], timeout=5)[1] == []


@pytest.mark.parametrize(
    ("log", "complaint"),
    [
        ("", "it left no message"),
        ("\n  \n", "it left no message"),
        ("starting\nlistening\n", "listening"),
        ("starting\nFATAL: too many\nshutting down\n", "FATAL: too many"),
        ("Error: first\nError: second\nbye", "Error: second"),
        (b"\xff\xfe error \x80\n".decode("latin-1"), "ÿþ error \x80"),
    ],
)
def test_last_complaint_finds_the_line_that_says_what_is_wrong(
    tmp_path: Path, log: str, complaint: str
) -> None:
    file = tmp_path / "log"
    file.write_text(log)
    assert last_complaint(file) == complaint


def test_last_complaint_of_a_missing_log(tmp_path: Path) -> None:
    assert last_complaint(tmp_path / "none") == "it left no log"


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)
    assert not is_free(70_000)


def test_nothing_answers_on_a_free_port() -> None:
    (port,) = free_ports(1)
    assert not answers(f"http://127.0.0.1:{port}/")


def test_the_environment_of_a_server_lacks_what_is_meant_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    environment = environment_without("PG", "AWS_")
    assert environment.keys() == {
        name for name in os.environ if not name.startswith(("PG", "AWS_"))
    }
    assert environment["PATH"] == os.environ["PATH"]

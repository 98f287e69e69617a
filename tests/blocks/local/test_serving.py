"""Who comes second is told where the first one is, for as long as that lives."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.local.children import StackError
from blocks.local.serving import served_once

PROGRAM = """
import sys
from pathlib import Path
from blocks.local.serving import served_once

with served_once(Path(sys.argv[1])) as announce:
    for url in sys.argv[2:]:
        announce(url)
    print("serving", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def first(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that serves the folder."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), *request.param]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield process


@pytest.mark.parametrize(
    ("first", "where"),
    [((), "and is still starting"), (("http://127.0.0.1:4200",), "at http://127.0.0.1:4200;")],
    indirect=["first"],
)
def test_the_second_is_refused_until_the_first_is_killed(
    tmp_path: Path, first: subprocess.Popen[str], where: str
) -> None:
    with pytest.raises(StackError) as error, served_once(tmp_path):
        pass
    assert str(error.value).startswith(f"process {first.pid} serves {tmp_path} already, {where}")
    first.kill()
    first.wait()
    with served_once(tmp_path):
        pass


@pytest.mark.parametrize("first", [()], indirect=True)
def test_folders_do_not_mind_each_other(tmp_path: Path, first: subprocess.Popen[str]) -> None:
    with served_once(tmp_path / "other"):
        pass

"""What the README promises is what is tested."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = [line for line in COMMANDS if line.endswith("pytest")]
    assert command in (PROJECT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_links_and_pictures_lead_somewhere(path: str) -> None:
    assert (PROJECT / path).exists()


def test_the_first_command_is_the_main_job() -> None:
    assert COMMANDS[0].endswith("renewables run --country Switzerland")

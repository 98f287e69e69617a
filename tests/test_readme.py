"""What the README and the pages that it links to promise is what is there, and what is tested."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from blocks.registration import Settings
from flows.cli import _parser
from tests.documents import DOCUMENTS, PRODUCTION, PROJECT, README, Document

COMMANDS = [line for block in README.fences("sh") for line in block.splitlines()]
# What running makes; a page may speak of it.
MADE = {"output/", ".uv/", ".venv/", ".renewables/"}


def tracked_files() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listing.stdout.splitlines() if (PROJECT / name).is_file()]


def clean_copy(folder: Path) -> Path:
    """Copy what a clone would have, with what is not committed yet."""
    for name in tracked_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)
    return folder


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = [line for line in COMMANDS if line.endswith("pytest")]
    assert command in (PROJECT / ".ci" / "run").read_text().splitlines()


def test_the_first_command_is_the_main_job() -> None:
    assert COMMANDS[0].endswith("renewables run --country Switzerland")


@pytest.mark.slow
def test_the_first_command_does_the_main_job_in_a_clean_copy(tmp_path: Path) -> None:
    copy = clean_copy(tmp_path / "copy")
    # As a user has it: neither this test's Prefect home nor its virtual environment.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") and name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    done = subprocess.run(
        ["bash", "-c", COMMANDS[0]],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (copy / "output").iterdir()) == [
        "switzerland.csv",
        "switzerland.png",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_links_and_pictures_lead_somewhere(document: Document) -> None:
    for link in document.links:
        path, _, anchor = link.partition("#")
        if link.startswith("https://"):
            continue
        target = (document.path.parent / path).resolve() if path else document.path
        assert target.exists(), link
        if anchor:
            assert anchor in Document(str(target.relative_to(PROJECT))).anchors, link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_files_and_folders_that_are_named_exist(document: Document) -> None:
    paths = r"`(\.?[\w./-]*(?:/|\.py|\.yaml|\.yml|\.toml|\.md|\.example))`"
    for name in set(re.findall(paths, document.text)) - MADE:
        places = (PROJECT, document.path.parent)
        assert any((place / name).exists() for place in places), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_shell_blocks_are_shell(document: Document) -> None:
    for block in document.fences("sh"):
        subprocess.run(["bash", "-n", "-c", block], check=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_every_command_of_ours_is_one(document: Document) -> None:
    for block in document.fences("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.search(r"(?:^|uv run )renewables (.*?)(?: &)?$", line):
                _parser().parse_args(shlex.split(found[1]))


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the subcommands."""
    (found,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    parsers: dict[str, argparse.ArgumentParser] = found.choices
    return parsers


def test_the_table_of_commands_is_complete() -> None:
    rows = {cells[0].strip("`").split()[1]: " ".join(cells) for cells in README.rows("command")}
    assert list(rows) == list(commands())
    for name, row in rows.items():
        known = {option for a in commands()[name]._actions for option in a.option_strings}
        assert set(re.findall(r"--[\w-]+", row)) <= known, name
    options = {option for a in commands()["run"]._actions for option in a.option_strings}
    assert set(re.findall(r"--[\w-]+", rows["run"])) == options - {"-h", "--help"}


def test_the_table_of_deployments_is_that_of_prefect_yaml() -> None:
    rows = {}
    for first, flow, parameters in README.rows("deployment"):
        name = first.split("`")[1]
        rows[name] = (flow.strip("`"), re.findall(r"`(\w+)`", parameters))
    content = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
    deployed = {}
    for each in content["deployments"]:
        flow_object: Flow[..., Any] = load_flow_from_entrypoint(str(PROJECT / each["entrypoint"]))
        deployed[each["name"]] = (flow_object.name, list(signature(flow_object.fn).parameters))
    assert rows == deployed


def test_the_map_has_every_folder() -> None:
    mapped = [cells[0].strip("`") for cells in README.rows("folder")]
    tops = {f"{name.partition('/')[0]}/" for name in tracked_files() if "/" in name}
    for top in tops:
        assert top.startswith(".") or any(folder.startswith(top) for folder in mapped), top


def test_the_production_page_and_the_workflow_name_every_setting() -> None:
    settings = {name.upper() for name in Settings.model_fields}
    of_others = {"PREFECT_API_URL", "PREFECT_API_KEY"}
    named = set(re.findall(r"\b(?:DATABRICKS|AWS|RENEWABLES|DATABASE)_[A-Z_]+\b", PRODUCTION.text))
    assert named <= settings
    workflow = (PROJECT / ".github/workflows/deploy.yml").read_text()
    passed = dict(re.findall(r"(\w+): \$\{\{ secrets\.(\w+) \}\}", workflow))
    assert set(passed) == settings | of_others
    assert all(name == secret for name, secret in passed.items())

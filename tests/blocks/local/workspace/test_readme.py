"""The workspace's README says what is there, and its code runs."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.routing import Mount, Route

from blocks.local.workspace import switches
from blocks.local.workspace.app import make_app
from blocks.local.workspace.faults import specs
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.options import Options
from blocks.local.workspace.testing import RunningWorkspace
from tests.blocks.local.workspace.fake import IDENTITY, Bench

PACKAGE = Path(switches.__file__).parent
CONFORMANCE = Path(__file__).parents[3] / "conformance"
README = (PACKAGE / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

Endpoint = tuple[str, str, str]


def documented() -> set[Endpoint]:
    """Return method, version and path of each endpoint in the table."""
    rows = re.findall(r"^\| `([A-Z]+) (/\S*)` \| ([\d. ]*?) *\|", README, re.MULTILINE)
    assert rows
    return {
        (method, version, path)
        for method, path, versions in rows
        for version in versions.split() or [""]
    }


def served(bench: Bench) -> Iterator[Endpoint]:
    app = make_app(
        bench.store,
        bench.engine,
        IDENTITY,
        "token",
        switches.Switches(),
        FaultBook(),
        side_api=True,
    )
    for item in app.routes:
        if isinstance(item, Mount):
            yield "GET", "", item.path
        elif isinstance(item, Route) and item.path != "/{path:path}":
            found = re.fullmatch(r"/api/(\d\.\d)(/.+)", item.path)
            version, path = (found[1], f"/api{found[2]}") if found else ("", item.path)
            for method in item.methods or ():
                yield method, version, path


def test_the_table_has_every_endpoint_and_no_other(bench: Bench) -> None:
    assert documented() == set(served(bench))


def test_every_switch_is_there_with_its_default() -> None:
    defaults = {item.name: item.default for item in dataclasses.fields(Options)}
    for name, default in (dict(switches.Switches()) | defaults).items():
        assert f"| `{name}` | `{default}` |" in README


def _kinds(model: type[specs.Fault]) -> Iterator[str]:
    yield from get_args(model.model_fields["kind"].annotation)
    for special in model.__subclasses__():
        yield from _kinds(special)


def test_every_kind_of_fault_is_there() -> None:
    table = README.partition("| Kind |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(_kinds(specs.Fault))


def test_the_rules_that_are_checked_are_in_the_table() -> None:
    listed = set(re.findall(r"^\| (\d[\d.]*) \|", README, re.MULTILINE))
    checked: set[str] = set()
    for path in CONFORMANCE.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                rules, _, _ = (ast.get_docstring(node) or "").partition(":")
                checked |= set(re.findall(r"§(\d+(?:\.\d+)*)", rules))
    assert checked
    for rule in checked:
        assert any(row == rule or row.startswith(f"{rule}.") for row in listed), rule


def test_its_code_runs(
    workspace: RunningWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = {"url": workspace.url, "token": workspace.token, "ca_file": str(workspace.ca_file)}
    (tmp_path / "workspace.json").write_text(json.dumps(ready))
    monkeypatch.chdir(tmp_path)
    # The code sets it for its own process; here it must not outlive the test.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    names: dict[str, Any] = {}
    for code in PYTHON:
        exec(compile(code, "README.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        workspace.faults.clear()
        workspace.clear_journal()
        test(workspace)

"""Notebooks are stored by what is in them, and those that cannot be read are named."""

from pathlib import Path

from blocks.databricks.sources import read_notebooks, workspace_path
from tests.blocks.databricks.specs import make_task


def test_another_content_is_another_path() -> None:
    first = workspace_path("/Shared/x/", "n", "print(1)")
    assert first == workspace_path("/Shared/x", "n", "print(1)")
    assert first != workspace_path("/Shared/x", "n", "print(2)")
    assert first.endswith("/n")


def test_every_notebook_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("print('é')")
    (tmp_path / "bytes.py").write_bytes(b"\xff")
    tasks = [
        *(make_task(name, notebook=str(tmp_path / f"{name}.py")) for name in ("good", "bytes")),
        make_task("missing"),
        make_task("elsewhere", source="GIT"),
    ]
    sources, problems = read_notebooks(tasks)
    assert sources == {"good": "print('é')"}
    assert ["'bytes'" in problems[0], "'missing'" in problems[1]] == [True, True]
    assert "not UTF-8" in problems[0]
    assert "No such file" in problems[1]

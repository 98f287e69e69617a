"""The arrows of the design: notebooks know nothing, blocks know vendors, flows know blocks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
# Who may import the stand-ins: the command line, besides themselves.
MAY_USE_LOCAL = {"flows/cli.py"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(folder: str) -> list[Path]:
    found = sorted((PROJECT / folder).rglob("*.py"))
    assert found
    return found


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("notebooks", ("flows", "blocks")),
        ("blocks", ("flows", "notebooks", "tests")),
        ("blocks/databricks", ("blocks.local", "blocks.registration")),
        ("flows", ("httpx", "boto3", "prefect_databricks", "tests")),
    ],
)
def test_arrows_point_one_way(folder: str, forbidden: tuple[str, ...]) -> None:
    allowed = {
        PROJECT / "flows/download.py",  # fetches sources that are URLs
        PROJECT / "flows/prefect_api.py",  # tells the errors of Prefect's own client apart
    }
    for path in modules(folder):
        if path not in allowed:
            wrong = [name for name in imports(path) if within(name, *forbidden)]
            assert not wrong, f"{path.relative_to(PROJECT)} imports {wrong}"


def test_only_the_command_line_uses_the_stand_ins() -> None:
    users = {
        str(path.relative_to(PROJECT))
        for folder in ("flows", "blocks", "notebooks")
        for path in modules(folder)
        if any(within(name, "blocks.local") for name in imports(path))
        and "blocks/local" not in str(path.relative_to(PROJECT))
    }
    assert users == MAY_USE_LOCAL


def test_flows_and_tasks_live_in_flows() -> None:
    for path in modules("blocks"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = [ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list]
                assert not {"flow", "task"} & set(names), f"{path}: {node.name}"


def test_the_databricks_block_knows_nothing_of_renewables() -> None:
    for path in modules("blocks/databricks"):
        text = path.read_text().lower()
        for word in ("solar", "hydro", "country_subset"):
            assert word not in text, f"{path} mentions {word}"

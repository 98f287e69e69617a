"""Which libraries tasks ask for, and which cannot come together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace import states
from blocks.local.workspace.libraries import (
    Library,
    LibraryError,
    libraries_of,
    library_of,
    with_pins,
)
from blocks.local.workspace.specs import task_spec
from tests.blocks.local.workspace.fake import Bench, job, results, task


@pytest.mark.parametrize(
    ("item", "library", "pin"),
    [
        ({"pypi": {"package": "A_b.c==1.0"}}, Library("pypi", "A_b.c==1.0"), ("a-b-c", "1.0")),
        ({"pypi": {"package": "a", "repo": "i"}}, Library("pypi", "a", "i"), None),
        (
            {"whl": "/Workspace/x/a_b-2-py3-none-any.whl"},
            Library("whl", "/Workspace/x/a_b-2-py3-none-any.whl"),
            ("a-b", "2"),
        ),
        ({"maven": {"coordinates": "o.x:y:1"}}, Library("maven", "o.x:y:1"), ("o.x:y", "1")),
        ({"requirements": "/r.txt"}, Library("requirements", "/r.txt"), None),
        ({"cran": {"package": "forecast"}}, Library("cran", "forecast"), None),
        ({"jar": "dbfs:/a.jar"}, Library("jar", "dbfs:/a.jar"), None),
    ],
)
def test_every_kind_is_understood(
    item: dict[str, Any], library: Library, pin: tuple[str, str] | None
) -> None:
    assert library_of(item) == library
    assert library.pin == pin


@given(st.dictionaries(st.text(), st.none() | st.text() | st.dictionaries(st.text(), st.text())))
def test_nonsense_is_a_library_that_nobody_can_install(item: dict[str, Any]) -> None:
    assert library_of(item).kind in {*item, "library", "pypi", "maven", "cran"}


def test_the_dependencies_of_an_environment_are_those_of_its_tasks() -> None:
    lines = ["a==1", " -r /Workspace/r.txt", "/Workspace/b-1-py3-none-any.whl", "--no-index"]
    settings = {
        "environments": [
            {"environment_key": "other", "spec": {"dependencies": ["z"]}},
            {"environment_key": "e", "spec": {"client": "1", "dependencies": lines}},
        ]
    }
    notebook = {"notebook_path": "/a"}
    serverless = {"task_key": "a", "environment_key": "e", "notebook_task": notebook}
    assert libraries_of(settings, task_spec(serverless)) == (
        Library("pypi", "a==1"),
        Library("requirements", "/Workspace/r.txt"),
        Library("whl", "/Workspace/b-1-py3-none-any.whl"),
        Library("pip", "--no-index"),
    )
    elsewhere = {"task_key": "a", "existing_cluster_id": "1", "notebook_task": notebook}
    assert libraries_of(settings, task_spec(elsewhere)) == ()


def test_what_comes_first_stays() -> None:
    first = with_pins({}, [Library("pypi", "a==1"), Library("pypi", "b")])
    assert with_pins(first, [Library("pypi", "A==1")]) == {"a": "1"}
    with pytest.raises(LibraryError, match="a==2: a==1 is installed"):
        with_pins(first, [Library("pypi", "a==2")])


def test_two_versions_in_one_environment_fail_its_tasks(bench: Bench) -> None:
    spec = {"client": "1", "dependencies": ["a==1", "a==2"]}
    settings = job(
        task("a", job_cluster_key=None, environment_key="e"),
        task("b", job_cluster_key=None),
        environments=[{"environment_key": "e", "spec": spec}],
    )
    run = bench.finished(bench.run(bench.create(settings)))
    assert results(run) == {"a": ["FAILED"], "b": ["SUCCESS"]}
    failed = run.latest["a"].state
    reason = "a==1 is installed on the cluster already."
    assert failed == states.library_failed("a==2", reason)

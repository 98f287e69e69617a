"""Packages reach where the notebooks run, and those that exclude each other are found."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.packages import package_problems, parse_package
from blocks.databricks.settings import job_settings
from tests.blocks.databricks.specs import make_spec, make_task

WHEEL = "/Volumes/main/jobs/wheels/my_tool-1.2-py3-none-any.whl"
FILE = "/Workspace/Users/me@example.com/requirements.txt"
SERVERLESS = {"job_clusters": {}, "environments": {"shared": {"environment_version": "4"}}}

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
versions = st.lists(st.integers(0, 30), min_size=1, max_size=3)


def test_packages_are_libraries_on_clusters() -> None:
    spec = make_spec(
        make_task("a", packages=[FILE]), make_task("b"), packages=["pandas[excel]==2.3", WHEEL]
    )
    first, second = job_settings(spec, {})["tasks"]
    for_all = [{"pypi": {"package": "pandas[excel]==2.3"}}, {"whl": WHEEL}]
    assert first["libraries"] == [*for_all, {"requirements": FILE}]
    assert second["libraries"] == for_all


def test_packages_are_dependencies_of_environments() -> None:
    own = {"environment_version": "4", "dependencies": ["numpy"]}
    spec = make_spec(
        make_task("a", packages=[FILE]),
        make_task("b", packages=[FILE]),
        make_task("c", environment_key="other"),
        packages=["pandas==2.3", WHEEL],
        job_clusters={},
        environments={"shared": own, "other": {"environment_version": "3"}},
    )
    settings = job_settings(spec, {})
    assert all("libraries" not in task for task in settings["tasks"])
    assert [each["spec"] for each in settings["environments"]] == [
        {**own, "dependencies": ["numpy", "pandas==2.3", WHEEL, f"-r {FILE}"]},
        {"environment_version": "3", "dependencies": ["pandas==2.3", WHEEL]},
    ]
    assert own["dependencies"] == ["numpy"]


@given(names, versions, st.sampled_from(["", "[extra]"]))
def test_how_a_name_or_a_version_is_spelt_makes_no_difference(
    name: str, version: list[int], extra: str
) -> None:
    number = ".".join(map(str, version))
    plain = parse_package(f"{name}{extra}=={number}")
    other = re.sub(r"[-_.]+", "_.-", name.swapcase())
    assert parse_package(f" {other}{extra} == {number}.0 ") == plain
    assert parse_package(f"{name}{extra}=={number}.1") != plain
    assert plain.library == {"pypi": {"package": f"{name}{extra}=={number}"}}


@given(names, names)
def test_two_versions_of_a_package_conflict_and_two_packages_do_not(one: str, other: str) -> None:
    def found(**packages: list[str]) -> list[str]:
        tasks = [make_task("a", packages=packages["a"]), make_task("b", packages=packages["b"])]
        return list(package_problems(make_spec(*tasks, packages=packages.get("job", []))))

    same = parse_package(one).name == parse_package(other).name
    assert bool(found(a=[f"{one}==1"], b=[f"{other}==2"])) == same
    assert bool(found(a=[f"{one}==1", f"{other}==2"], b=[])) == same
    assert bool(found(a=[f"{one}==1"], b=[], job=[f"{other}==2"])) == same
    assert found(a=[f"{one}==1"], b=[f"{one}==1.0"]) == []


@given(st.text(max_size=20))
def test_any_text_is_a_package_or_a_problem(text: str) -> None:
    spec = make_spec(make_task("a", packages=[text]))
    installed = job_settings(spec, {})["tasks"][0].get("libraries", [])
    assert len(list(package_problems(spec))) + len(installed) == 1


@pytest.mark.parametrize(
    ("job", "first", "second", "said"),
    [
        (
            {"packages": ["pandas==2.3", "Pandas"]},
            [],
            [],
            "the job asks for package 'pandas' more than once (pandas==2.3, Pandas)",
        ),
        ({}, [FILE, FILE], [], f"task 'a' asks for package {FILE!r} more than once"),
        (
            {"packages": ["scikit-learn==1.6"]},
            ["scikit_learn==1.7"],
            [],
            "task 'a' asks for scikit_learn==1.7, but the job for scikit-learn==1.6",
        ),
        (
            {"packages": ["pandas==2.3"]},
            ["Pandas==2.3.0"],
            [],
            "task 'a' asks for Pandas==2.3.0, which all tasks have already",
        ),
        (
            {},
            ["pandas==2.3"],
            ["pandas==2.2"],
            "tasks 'a' and 'b' share job cluster 'shared', but ask for pandas==2.3 and pandas==2.2",
        ),
        (
            SERVERLESS,
            ["my-tool==1.2"],
            [WHEEL],
            f"tasks 'a' and 'b' share environment 'shared', but ask for my-tool==1.2 and {WHEEL}",
        ),
        (
            {"job_clusters": {}},
            ["pandas"],
            [],
            "task 'a' runs on serverless compute without an environment, which its packages need; "
            "add one to environments",
        ),
        (
            {"job_clusters": {}, "environments": {"shared": {"dependencies": ["pandas==1"]}}},
            ["pandas==2"],
            [],
            "environment 'shared' depends on pandas==1, and its tasks ask for pandas==2",
        ),
        ({}, ["pandas=2"], [], "package 'pandas=2' is no requirement"),
        ({}, ["tool-1.2-py3-none-any.whl"], [], "must be an absolute path or a URI"),
        ({}, ["/Volumes/a/b/c/tool.whl"], [], "is not named as wheels are"),
    ],
)
def test_each_problem_is_one_clause(
    job: dict[str, Any], first: list[str], second: list[str], said: str
) -> None:
    tasks = make_task("a", packages=first), make_task("b", packages=second)
    (found,) = package_problems(make_spec(*tasks, **job))
    assert said in found


def test_other_tasks_elsewhere_may_have_another_version() -> None:
    spec = make_spec(
        make_task("a", packages=["pandas==1"]),
        make_task("b", packages=["pandas==2"], job_cluster_key="other"),
        make_task("c", packages=["pandas==3"], existing_cluster_id="1-x"),
        job_clusters={"shared": {}, "other": {}},
    )
    assert list(package_problems(spec)) == []


@pytest.mark.parametrize(
    "text", ["tool @ https://example.com/tool-1.2-py3-none-any.whl", "tool; python_version<'4'"]
)
def test_a_requirement_may_be_a_direct_reference_or_have_a_marker(text: str) -> None:
    assert parse_package(text).library == {"pypi": {"package": text}}
    assert parse_package(text).name == "tool"

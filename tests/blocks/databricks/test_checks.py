"""Every problem of a job's definition is reported at once, before anything is sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks.checks import overridden_parameters, problems
from tests.blocks.databricks.specs import make_spec, make_task

TASKS = (make_task("join_data"), make_task("transform_data", depends_on=["join_data"]))
GOOD = make_spec(*TASKS)
TOKEN = "t" * 64


def test_a_good_definition_has_no_problems() -> None:
    assert problems(GOOD, {"country": "Norway"}, TOKEN) == []


def test_every_problem_is_reported_at_once() -> None:
    spec = make_spec(
        make_task("a b", packages=["pandas==1", "Pandas==2"]),
        make_task("c", depends_on=["d", "nowhere"], environment_key="missing"),
        make_task("d", depends_on=["c"], source="GIT", job_cluster_key="x", environment_key="y"),
        make_task("d", depends_on=["c"]),
        tags={str(number): "" for number in range(24)} | {"prefect_spec": "mine"},
        run_as={"user_name": "a", "service_principal_name": "b"},
        access_control_list=[{"permission_level": "CAN_VIEW"}],
        extra_settings={"name": "other"},
        environments={"a key": {}},
    )
    found = problems(spec, {"a name": "x", "long": "x" * 10_000}, "t" * 65)
    for said in (
        "task key 'a b'",
        "'d' is used twice",
        "'nowhere'",
        "circle",
        "'a name'",
        "job parameters take 10,0",
        "65 characters",
        "package 'pandas' more than once",
        "environment 'missing'",
        "job_cluster_key and environment_key",
        "no git_source",
        "25 tags",
        "'prefect_spec'",
        "run_as has both",
        "access_control_list[0] needs",
        "extra_settings.name",
        "the key of environment 'a key'",
    ):
        assert sum(said in problem for problem in found) == 1, (said, found)


def test_no_tasks_is_a_problem() -> None:
    assert problems(make_spec(job_clusters={}), {}, "") == ["it has no tasks"]


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_.\-]{1,9}", fullmatch=True), st.text()))
def test_parameters_of_a_fair_size_may_hold_any_text(parameters: dict[str, str]) -> None:
    assert problems(GOOD, parameters, TOKEN) == []


@pytest.mark.parametrize(("filler", "count"), [("x", 9_994), ("é", 4_997), ("\n", 4_997)])
def test_the_limit_is_ten_thousand_bytes_of_json(filler: str, count: int) -> None:
    assert problems(GOOD, {"p": filler * (count - 5)}, "") == []
    (found,) = problems(GOOD, {"p": filler * count}, "")
    assert "take 10,00" in found
    assert "bytes as JSON" in found


def test_a_tasks_own_parameters_may_take_a_megabyte() -> None:
    spec = make_spec(make_task("a", parameters={"p": "x" * 1_000_000}))
    (found,) = problems(spec, {}, "")
    assert found.startswith("the parameters of task 'a' take 1,000,008 bytes")


# Bytes of a file name that are no text, for example.
no_text = st.builds(
    "{}{}{}".format, st.text(), st.characters(categories=["Cs"]), st.text(max_size=9)
)


@given(no_text)
def test_what_is_no_text_is_said_before_json_fails_on_it(value: str) -> None:
    spec = make_spec(make_task("a", parameters={"p": value, "q": "text"}))
    of_job, of_task = problems(spec, {"country": value, "year": "text"}, "")
    assert of_job.startswith("job parameter 'country' is no text: it has '\\ud")
    assert of_task.startswith("task 'a': parameter 'p' is no text: it has '\\ud")
    # Whoever reports it has to be able to.
    assert of_job.encode() + of_task.encode()


def test_a_parameter_of_a_task_that_has_no_effect_is_said() -> None:
    task = make_task(
        "a", parameters={"country": "Norway", "year": "{{job.parameters.year}}", "other": "1"}
    )
    (said,) = overridden_parameters([task], {"country": "", "year": "", "path": ""})
    assert "'a' sets 'country'" in said
    assert overridden_parameters([task], {"path": ""}) == ()


@pytest.mark.parametrize(
    ("task", "git_source", "said"),
    [
        ({}, {}, "no git_source"),
        ({"source": "WORKSPACE"}, {"git_tag": "t"}, "no git_url"),
        ({}, {"git_url": "u"}, "exactly one of git_branch, git_tag and git_commit"),
        ({}, {"git_url": "u", "git_branch": "b", "git_tag": "t"}, "exactly one"),
        ({"notebook": "/a.py"}, {"git_url": "u", "git_tag": "t"}, "inside the repository"),
        ({"notebook": "../a.py"}, {"git_url": "u", "git_tag": "t"}, "inside the repository"),
    ],
)
def test_a_notebook_from_git_needs_a_place_in_a_repository(
    task: dict[str, Any], git_source: dict[str, str], said: str
) -> None:
    spec = make_spec(make_task("a", **{"source": "GIT", **task}), git_source=git_source)
    (found,) = problems(spec, {}, "")
    assert said in found


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"user_name": "a", "group_name": "b", "permission_level": "CAN_VIEW"}], "exactly one"),
        ([{"group_name": "b", "permission_level": "IS_OWNER"}], "makes a group the owner"),
        (
            [{"user_name": name, "permission_level": "IS_OWNER"} for name in ("a", "b")],
            "more than one the owner",
        ),
        (
            [{"user_name": "a", "permission_level": level} for level in ("CAN_VIEW", "IS_OWNER")],
            "user_name 'a' twice",
        ),
    ],
)
def test_who_may_do_what_is_said_once_for_each(entries: list[dict[str, str]], said: str) -> None:
    (found,) = problems(make_spec(*TASKS, access_control_list=entries), {}, "")
    assert said in found

"""What a repair saved: sums that agree with the run, and no start-up counted as a saving."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_databricks import DatabricksCredentials

from blocks.databricks import DatabricksJob, NotebookTask, RunState
from blocks.databricks.receipt import make_receipt
from blocks.databricks.state import parse_run
from blocks.local.workspace.testing import RunningWorkspace
from tests.blocks.databricks.runs import OK, RAISED, VICTIM, Story

UPSTREAM = {"join": (), "extra": (), "transform": ("join",), "draw": ("transform", "extra")}


def timed(state: RunState, seconds: dict[int, tuple[float, float]]) -> RunState:
    """Give attempts their (set-up, execution) seconds, by run id, and tasks their upstream."""
    return replace(
        state,
        attempts=tuple(
            replace(
                attempt,
                depends_on=UPSTREAM[attempt.task_key],
                setup_ms=int(1000 * seconds.get(attempt.run_id, (0, 0))[0]),
                execution_ms=int(1000 * seconds.get(attempt.run_id, (0, 0))[1]),
            )
            for attempt in state.attempts
        ),
    )


def repaired_run() -> RunState:
    story = Story({"join": OK, "transform": RAISED}).repaired({"transform": OK})
    return timed(story.state, {901: (240, 100), 902: (0, 30), 903: (200, 50)})


def test_both_a_repair_and_a_full_re_run_start_a_cluster() -> None:
    receipt = make_receipt(repaired_run(), price_per_hour=36)
    (repair,) = receipt.repairs
    assert [attempt.task_key for attempt in repair.ran] == ["transform"]
    assert [attempt.task_key for attempt in repair.reused] == ["join"]
    assert repair.times == (200, 250, 350, 100)
    assert receipt.saved_money == pytest.approx(1)
    assert receipt.task_seconds == 620


def test_tasks_that_run_side_by_side_save_no_time() -> None:
    story = Story({"join": OK, "extra": RAISED}).repaired({"extra": OK})
    receipt = make_receipt(timed(story.state, {901: (5, 10), 902: (5, 3), 903: (5, 60)}))
    assert receipt.saved_seconds == 0


def test_a_retry_by_databricks_runs_after_the_attempt_before_it() -> None:
    story = Story({"join": RAISED, "transform": VICTIM})
    story.repaired({"join": [RAISED, OK], "transform": OK})
    receipt = make_receipt(
        timed(story.state, {903: (20, 10), 904: (0, 12), 905: (0, 5)}),
    )
    assert receipt.repairs[0].elapsed_seconds == 20 + 10 + 12 + 5
    assert receipt.saved_seconds == 0


def test_the_table_says_what_was_run_again_and_what_was_not() -> None:
    receipt = make_receipt(repaired_run(), price_per_hour=36)
    assert receipt.as_markdown() == (
        "|  | Repair 1 | Sum |\n"
        "| --- | ---: | ---: |\n"
        "| Run again | transform 250.000 s | **250.000 s** |\n"
        "| Reused | join 340.000 s | **340.000 s** |\n"
        "| Start-up | 200.000 s | **200.000 s** |\n"
        "| Took | 250.000 s | **250.000 s** |\n"
        "| Full re-run | 350.000 s | **350.000 s** |\n"
        "| Saved | 100.000 s | **100.000 s** |\n"
        "| Money saved | 1.00 | **1.00** |\n"
        "\nTimes are critical paths over `depends_on`. A full re-run would have needed a new "
        "cluster as well, so the start-up is part of both and saves nothing. An hour costs 36. "
        "All attempts of run 900 together: 620.000 s, of which 250.000 s in repairs.\n"
    )
    assert "Money" not in make_receipt(repaired_run()).as_markdown()
    assert "was not repaired" in make_receipt(Story({"join": OK}).state).as_markdown()


def test_the_log_says_it_in_a_sentence() -> None:
    again = "repair 1 ran transform 250.000 s again and reused join 340.000 s"
    start = "against full re-runs, which would have taken 200.000 s to start clusters as well."
    assert make_receipt(repaired_run()).as_sentence() == (
        f"Run 900: {again}. Saved 100.000 s {start}"
    )
    assert make_receipt(repaired_run(), price_per_hour=36).as_sentence() == (
        f"Run 900: {again}. Saved 100.000 s, or 1.00 at 36 an hour, {start}"
    )


# What runs/get shows; ended well, failed, and cancelled while the cluster started.
ENDS = ("SUCCESS", "FAILED", "CANCELED")
milliseconds = st.integers(0, 400_000)
durations = st.fixed_dictionaries(
    {
        "setup_duration": milliseconds,
        "execution_duration": milliseconds,
        "cleanup_duration": milliseconds,
        "state": st.sampled_from(ENDS).map(
            lambda end: {"life_cycle_state": "TERMINATED", "result_state": end}
        ),
        # Whatever the job was at that time: tasks turned round, or waiting for themselves.
        "depends_on": st.lists(st.sampled_from("abc").map(lambda key: {"task_key": key})),
    }
)
attempts_of_tasks = st.dictionaries(
    st.sampled_from("abc"), st.lists(durations, min_size=1, max_size=3), min_size=1
)


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a run with Databricks' own retries, some of which its history does not list."""
    tasks: list[dict[str, Any]] = []
    history = []
    for number, of_tasks in enumerate(draw(st.lists(attempts_of_tasks, min_size=1, max_size=4))):
        listed = []
        for key, attempts in of_tasks.items():
            for retry, attempt in enumerate(attempts):
                run_id = len(tasks) + 1
                before = sum(each["task_key"] == key for each in tasks)
                names = {"task_key": key, "run_id": run_id, "attempt_number": before}
                names |= {"round": number}  # for the test
                tasks.append({**names, **attempt})
                if not retry or draw(st.booleans()):
                    listed.append(run_id)
        history.append({"task_run_ids": listed, **({"id": 7000 + number} if number else {})})
    return {"run_id": 900, "tasks": draw(st.permutations(tasks)), "repair_history": history}


def total(tasks: Iterable[Mapping[str, Any]]) -> int:
    """Add up, in milliseconds, what a payload says about attempts."""
    parts = ("setup_duration", "execution_duration", "cleanup_duration")
    return sum(task[part] for task in tasks for part in parts)


@given(runs())
def test_the_sums_are_the_runs_totals(payload: dict[str, Any]) -> None:
    receipt = make_receipt(parse_run(payload))
    rounds = [receipt.original, *receipt.repairs]
    ran = [attempt.run_id for each in rounds for attempt in each.ran]
    assert sorted(ran) == sorted(task["run_id"] for task in payload["tasks"])
    assert len(rounds) == len(payload["repair_history"])
    for number, each in enumerate(rounds):
        tasks = [task for task in payload["tasks"] if task["round"] == number]
        assert {a.run_id for a in each.ran} == {task["run_id"] for task in tasks}
        assert 1000 * each.task_seconds == pytest.approx(total(tasks))
        assert not {a.task_key for a in each.ran} & {a.task_key for a in each.reused}
        assert all(attempt.outcome.ok for attempt in each.reused)
    assert 1000 * receipt.task_seconds == pytest.approx(total(payload["tasks"]))


def figures(cell: str) -> Decimal:
    """Add up the figures of a cell."""
    shown = re.findall(r"[\d,]+\.\d+", cell)
    return sum((Decimal(each.replace(",", "")) for each in shown), Decimal(0))


@given(runs(), st.floats(0.01, 5000))
def test_the_figures_add_up_as_they_are_shown(payload: dict[str, Any], price: float) -> None:
    receipt = make_receipt(parse_run(payload), price)
    table, _, text = receipt.as_markdown().partition("\n\n")
    if not receipt.repairs:
        return
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    shown = {name: [figures(cell) for cell in cells] for name, *cells in rows}
    for name, (*parts, whole) in shown.items():
        assert sum(parts) == whole, name
    for took, saved, full in zip(shown["Took"], shown["Saved"], shown["Full re-run"], strict=True):
        assert took + saved == full
        assert saved >= 0
    together, in_repairs = map(figures, text.rpartition(" together: ")[2].split(", of which "))
    assert 1000 * together == total(payload["tasks"])
    assert in_repairs == shown["Run again"][-1]
    assert (
        figures(receipt.as_sentence().partition(". Saved ")[2].split(" s")[0])
        == (shown["Saved"][-1])
    )
    assert receipt.saved_money == pytest.approx(float(shown["Money saved"][-1]), abs=0.0051)


def test_money_adds_up_to_the_cent() -> None:
    story = Story({"join": OK, "transform": RAISED})
    for end in (RAISED, RAISED, OK):
        story.repaired({"transform": end})
    table = make_receipt(timed(story.state, {901: (0, 100)}), price_per_hour=12).as_markdown()
    assert "| Money saved | 0.33 | 0.34 | 0.33 | **1.00** |" in table


def test_a_job_that_was_turned_round_before_its_repair_has_a_receipt() -> None:
    def entry(key: str, run_id: int, upstream: str, end: str) -> dict[str, Any]:
        return {
            "task_key": key,
            "run_id": run_id,
            "attempt_number": run_id // 10,
            "depends_on": [{"task_key": upstream}] if upstream else [],
            "execution_duration": 1000,
            "state": {"life_cycle_state": "TERMINATED", "result_state": end},
        }

    tasks = [
        entry("a", 1, "", "SUCCESS"),
        entry("b", 2, "a", "SUCCESS"),
        entry("c", 3, "b", "FAILED"),
        entry("a", 11, "b", "SUCCESS"),
        entry("c", 13, "a", "SUCCESS"),
    ]
    history = [{"task_run_ids": [1, 2, 3]}, {"id": 9, "task_run_ids": [11, 13]}]
    receipt = make_receipt(parse_run({"tasks": tasks, "repair_history": history}))
    (repair,) = receipt.repairs
    # The job is b, a, c now: what b waited for before is over.
    assert (repair.elapsed_seconds, repair.full_seconds) == (2, 3)
    everything_at_once = make_receipt(parse_run({"tasks": tasks}))
    assert everything_at_once.task_seconds == 5


def test_the_receipt_of_a_real_run_is_what_databricks_shows(
    workspace: RunningWorkspace, tmp_path: Path
) -> None:
    workspace.faults.add("exception", task="second", times=2)
    tasks = []
    for key, upstream in (("first", []), ("second", ["first"])):
        notebook = tmp_path / f"{key}.py"
        notebook.write_text("# Databricks notebook source\nimport time\ntime.sleep(0.2)\n")
        tasks.append(NotebookTask(task_key=key, notebook=str(notebook), depends_on=upstream))
    job = DatabricksJob(
        databricks_credentials=DatabricksCredentials(
            databricks_instance=workspace.host,
            token=workspace.token,
            client_kwargs={"verify": str(workspace.ca_file)},
        ),
        job_name="two notebooks",
        tasks=tasks,
    )
    latest = None
    with job.trigger() as run:
        run.wait_for_completion()
        for _ in range(2):
            latest = run.repair(["second"], latest)
            run.wait_for_completion()
    with workspace.client() as client:
        query = f"run_id={run.run_id}&include_history=true"
        shown = client.get(f"/api/2.2/jobs/runs/get?{query}").json()
    receipt = make_receipt(run.state)
    rounds = [receipt.original, *receipt.repairs]
    assert [[attempt.task_key for attempt in each.ran] for each in rounds] == [
        ["first", "second"],
        ["second"],
        ["second"],
    ]
    for each, item in zip(rounds, shown["repair_history"], strict=True):
        ran = [task for task in shown["tasks"] if task["run_id"] in item["task_run_ids"]]
        assert 1000 * each.task_seconds == pytest.approx(total(ran))
    assert 1000 * receipt.task_seconds == pytest.approx(total(shown["tasks"]))
    # One task after the other, with nothing but pauses besides.
    assert receipt.task_seconds <= shown["run_duration"] / 1000
    assert sum(each.elapsed_seconds for each in rounds) <= shown["run_duration"] / 1000
    first = next(task for task in shown["tasks"] if task["task_key"] == "first")
    assert first["execution_duration"] >= 200
    assert receipt.saved_seconds == pytest.approx(2 * first["execution_duration"] / 1000)

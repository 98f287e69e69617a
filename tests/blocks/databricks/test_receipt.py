"""What a repair saved: sums that agree with the run, and no start-up counted as a saving."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databricks import RunState, Status
from blocks.databricks.receipt import make_receipt
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
        "| Run again | transform 250.0 s |  |\n"
        "| Reused | join 340.0 s |  |\n"
        "| Start-up | 200.0 s | **200.0 s** |\n"
        "| Took | 250.0 s | **250.0 s** |\n"
        "| Full re-run | 350.0 s | **350.0 s** |\n"
        "| Saved | 100.0 s | **100.0 s** |\n"
        "| Money saved | 1.00 | **1.00** |\n"
        "\nTimes are critical paths over `depends_on`. A full re-run would have needed a new "
        "cluster as well, so the start-up is part of both and saves nothing. An hour costs 36. "
        "All attempts of run 900 together: 620.0 s.\n"
    )
    assert "Money" not in make_receipt(repaired_run()).as_markdown()
    assert "was not repaired" in make_receipt(Story({"join": OK}).state).as_markdown()


@given(
    rounds=st.lists(
        st.dictionaries(
            st.sampled_from(sorted(UPSTREAM)),
            st.lists(st.sampled_from([OK, RAISED, VICTIM]), min_size=1, max_size=3),
            min_size=1,
        ),
        min_size=1,
        max_size=4,
    ),
    seconds=st.dictionaries(
        st.integers(901, 940), st.tuples(st.integers(0, 300), st.integers(0, 300))
    ),
    price=st.integers(0, 50),
)
def test_the_sums_are_the_runs_totals(
    rounds: list[dict[str, list[Status]]], seconds: dict[int, tuple[float, float]], price: int
) -> None:
    story = Story({**rounds[0]})
    for ends in rounds[1:]:
        story.repaired({**ends})
    state = timed(story.state, seconds)
    receipt = make_receipt(state, price)

    everything = [receipt.original, *receipt.repairs]
    assert receipt.task_seconds == pytest.approx(sum(a.seconds for a in state.attempts))
    ran = [attempt.run_id for each in everything for attempt in each.ran]
    assert sorted(ran) == sorted(attempt.run_id for attempt in state.attempts)
    assert len(receipt.repairs) == state.repairs
    assert receipt.saved_money == pytest.approx(
        sum(each.saved_seconds for each in receipt.repairs) * price / 3600
    )
    for each in everything:
        work = sum(attempt.execution_ms for attempt in each.reused) / 1000
        assert 0 <= each.saved_seconds <= work + 1e-6
        assert each.elapsed_seconds <= each.startup_seconds + each.task_seconds
        assert all(attempt.outcome.ok for attempt in each.reused)
        assert not {a.task_key for a in each.ran} & {a.task_key for a in each.reused}

"""Results combine as the documentation says."""

from __future__ import annotations

from itertools import product

import pytest

from blocks.local.workspace.conditions import CANCELED, FAILED, SUCCESSFUL, run_result, verdict
from blocks.local.workspace.specs import RunIf
from blocks.local.workspace.states import Result

TASK_RESULTS = sorted(SUCCESSFUL | FAILED | CANCELED)
S, F, X = Result.SUCCESS, Result.FAILED, Result.EXCLUDED
UF, C, UC = Result.UPSTREAM_FAILED, Result.CANCELED, Result.UPSTREAM_CANCELED


@pytest.mark.parametrize(
    ("run_if", "upstream", "expected"),
    [
        ("ALL_SUCCESS", [], None),
        ("ALL_SUCCESS", [S, S], None),
        ("ALL_SUCCESS", [S, X], None),
        ("ALL_SUCCESS", [S, F], UF),
        ("ALL_SUCCESS", [S, UF], UF),
        ("ALL_SUCCESS", [S, C], UC),
        ("ALL_SUCCESS", [F, C], UF),
        ("AT_LEAST_ONE_SUCCESS", [F, S], None),
        ("AT_LEAST_ONE_SUCCESS", [F, F], UF),
        ("NONE_FAILED", [S, X], None),
        ("NONE_FAILED", [X, X], X),
        ("NONE_FAILED", [S, F], UF),
        ("ALL_DONE", [F, C, UF], None),
        ("ALL_DONE", [X], X),
        ("AT_LEAST_ONE_FAILED", [S, F], None),
        ("AT_LEAST_ONE_FAILED", [S, S], X),
        ("ALL_FAILED", [F, F], None),
        ("ALL_FAILED", [F, S], X),
        ("ALL_FAILED", [F, X], X),
    ],
)
def test_documented_cases(run_if: str, upstream: list[Result], expected: Result | None) -> None:
    assert verdict(RunIf(run_if), upstream) is expected


@pytest.mark.parametrize("run_if", RunIf)
def test_every_combination_of_three_gives_one_lasting_answer(run_if: RunIf) -> None:
    for upstream in product(TASK_RESULTS, repeat=3):
        decision = verdict(run_if, upstream)
        assert decision in {None, X, UF, UC}
        assert decision is verdict(run_if, reversed(upstream))
        if decision is UC:
            assert not FAILED.intersection(upstream)
            assert CANCELED.intersection(upstream)


def test_leaves_decide_and_inner_tasks_only_tint() -> None:
    chain = {"a": [], "b": ["a"]}
    assert run_result({"a": S, "b": S}, chain) is Result.SUCCESS
    assert run_result({"a": F, "b": S}, chain) is Result.SUCCESS_WITH_FAILURES
    assert run_result({"a": F, "b": UF}, chain) is Result.FAILED
    assert run_result({"a": F, "b": X}, chain) is Result.SUCCESS_WITH_FAILURES
    assert run_result({"a": S, "b": C}, chain) is Result.CANCELED
    assert run_result({"a": S, "b": F, "c": C}, {"a": [], "b": ["a"], "c": ["a"]}) is Result.FAILED

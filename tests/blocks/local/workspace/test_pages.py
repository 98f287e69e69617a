"""The pages show runs and notebooks, and nothing in them can act."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.app import make_app
from blocks.local.workspace.faults.book import FaultBook
from blocks.local.workspace.notebook.contract import CellOutput, NotebookOutcome, Output
from blocks.local.workspace.pages.formatting import duration, parameters, work
from blocks.local.workspace.pages.graph import BOX_HEIGHT, BOX_WIDTH, layout
from blocks.local.workspace.pages.notebooks import notebook_document
from blocks.local.workspace.specs import task_spec
from blocks.local.workspace.switches import Switches
from tests.blocks.local.workspace.fake import IDENTITY, Bench, job, task

HOSTILE = "<script>alert('x')</script>"


class Pages:
    """The application of a bench, asked without a network."""

    def __init__(self, bench: Bench) -> None:
        self.app = make_app(
            bench.store,
            bench.engine,
            IDENTITY,
            "secret-token",
            Switches(),
            FaultBook(),
            side_api=False,
        )

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as web:
                return await web.get(path)

        return asyncio.run(ask())


@pytest.fixture
def pages(bench: Bench) -> Pages:
    return Pages(bench)


def hostile_run(bench: Bench) -> int:
    settings = job(
        task("a"),
        task("b", "a"),
        name=HOSTILE,
        parameters=[{"name": "p", "default": HOSTILE}],
    )
    run_id = bench.run(bench.create(settings, b=f"fail {HOSTILE}"))
    bench.finished(run_id)
    return run_id


def test_every_page_escapes_what_it_shows(bench: Bench, pages: Pages) -> None:
    run_id = hostile_run(bench)
    run = bench.runs.run(run_id)
    cells = (
        CellOutput(0, HOSTILE, "python", HOSTILE, (Output("text/plain", HOSTILE),), 1, 2, HOSTILE),
        CellOutput(1, "", "markdown", f"%md # {HOSTILE} [x](javascript:alert(1))"),
        CellOutput(2, "", "python", "1", (Output("text/html", HOSTILE),), 1, 2),
        CellOutput(3, "", "python", "1", (Output("image/png", '"><script>'),), 1, 2),
    )
    failed = run.latest["b"].run_id
    bench.store.outputs.save(
        failed, NotebookOutcome("failed", error=HOSTILE, error_trace=HOSTILE, cells=cells)
    )
    for path in ("/", f"/jobs/{run.job_id}", f"/runs/{run_id}", f"/runs/{failed}"):
        answer = pages.get(path)
        assert answer.status_code == 200
        assert "alert(&#39;x&#39;)" in answer.text
        assert answer.text.count("<script") == 1
        assert 'href="javascript' not in answer.text
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        assert "secret-token" not in answer.text
    assert 'sandbox="allow-same-origin"' in answer.text
    document = notebook_document("/n", cells)
    assert "<script" not in document


def test_a_run_page_shows_the_error_and_each_attempt(bench: Bench, pages: Pages) -> None:
    job_id = bench.create(job(task("load"), task("join", "load")), join="fail ValueError: boom")
    run_id = bench.run(job_id)
    bench.finished(run_id)
    bench.notebook("join", "exit 42")
    bench.repair(run_id, "join")
    run = bench.finished(run_id)
    page = pages.get(f"/runs/{run_id}").text
    assert "Repair 1" in page
    for attempt in run.attempts:
        assert f"/runs/{attempt.run_id}" in page
    assert "data-alive" not in page
    failed, repaired = (a for a in run.attempts if a.task.key == "join")
    assert "ValueError: boom" in pages.get(f"/runs/{failed.run_id}").text
    assert "42" in pages.get(f"/runs/{repaired.run_id}").text


def test_only_pages_of_something_alive_refresh(bench: Bench, pages: Pages) -> None:
    run_id = bench.run(bench.create(job(task("a")), a="wait"))
    for path in ("/", f"/runs/{run_id}"):
        assert "<main data-alive>" in pages.get(path).text
    bench.execution(0).ended.set()
    bench.finished(run_id)
    for path in ("/", f"/runs/{run_id}"):
        assert "<main>" in pages.get(path).text


@pytest.mark.parametrize("path", ["/runs/1", "/jobs/1"])
def test_what_is_not_there(pages: Pages, path: str) -> None:
    answer = pages.get(path)
    assert answer.status_code == 404
    assert "There is no" in answer.text


@pytest.mark.parametrize("path", [f"/runs/{2**63}", "/jobs/x", "/static/../server.py"])
def test_odd_addresses_are_errors_of_the_caller(pages: Pages, path: str) -> None:
    assert pages.get(path).status_code in {400, 404}


def test_styles_and_script_are_served(pages: Pages) -> None:
    for name in ("workspace.css", "workspace.js"):
        assert pages.get(f"/static/{name}").status_code == 200


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0.0 s"),
        (1249, "1.2 s"),
        (12_400, "12 s"),
        (61_000, "1 min 1 s"),
        (3_660_000, "1 h 1 min"),
    ],
)
def test_durations(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"notebook_task": {"notebook_path": "/load"}}, "/load"),
        ({"spark_python_task": {"python_file": "/etl.py"}}, "/etl.py"),
        ({"condition_task": {"op": "NOT_EQUAL", "left": "a", "right": "b"}}, "a ≠ b"),
        ({"run_job_task": {"job_id": 7}}, "job 7"),
        (
            {
                "for_each_task": {
                    "inputs": "[1, 2]",
                    "task": {"task_key": "one", "notebook_task": {"notebook_path": "/load"}},
                }
            },
            "/load, for each of [1, 2]",
        ),
    ],
)
def test_what_tasks_do(action: dict[str, Any], text: str) -> None:
    assert work(task_spec({"task_key": "a", **action})) == text


def test_parameters_of_every_kind_are_listed() -> None:
    resolved = {"run_job_task": {"job_parameters": {"p": "1"}, "python_params": ["x", "y"]}}
    assert dict(parameters(resolved)) == {"p": "1", "python_params": "x, y"}
    assert dict(parameters({"condition_task": {"left": "a", "right": "b"}})) == {
        "left": "a",
        "right": "b",
    }
    assert list(parameters(None)) == []


@given(st.data())
def test_a_graph_leads_from_left_to_right_without_overlaps(data: st.DataObject) -> None:
    keys = [f"t{number}" for number in range(data.draw(st.integers(1, 9)))]
    depends_on = {
        key: sorted(data.draw(st.sets(st.sampled_from(keys[:position])))) if position else []
        for position, key in enumerate(keys)
    }
    graph = layout(depends_on)
    boxes = {box.key: box for box in graph.boxes}
    assert boxes.keys() == depends_on.keys()
    for key, upstream in depends_on.items():
        assert all(boxes[other].x + BOX_WIDTH < boxes[key].x for other in upstream)
    for left, right in pairwise(sorted(graph.boxes, key=lambda box: (box.x, box.y))):
        assert left.x != right.x or left.y + BOX_HEIGHT < right.y
    assert len(graph.paths) == sum(len(upstream) for upstream in depends_on.values())
    assert all(box.x + BOX_WIDTH <= graph.width for box in graph.boxes)
    assert all(box.y + BOX_HEIGHT <= graph.height for box in graph.boxes)

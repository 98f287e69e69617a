"""The pages as a person sees them, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.stage import Stage

pytestmark = pytest.mark.slow


def top(locator: Locator) -> float:
    box = locator.first.bounding_box()
    assert box is not None
    return float(box["y"])


def left(locator: Locator) -> float:
    box = locator.first.bounding_box()
    assert box is not None
    return float(box["x"])


def task_box(page: Page, key: str) -> Locator:
    return page.locator("svg a", has=page.locator("title", has_text=re.compile(f"^{key}$")))


def test_the_address_of_a_run_leads_to_its_page(page: Page, stage: Stage, repaired: int) -> None:
    page.goto(stage.run(repaired)["run_page_url"])
    page.wait_for_url(f"**/runs/{repaired}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("renewables, every morning")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Success")


def test_the_graph_leads_from_left_to_right_and_to_the_task_runs(
    page: Page, stage: Stage, repaired: int
) -> None:
    page.goto(f"{stage.workspace.url}/runs/{repaired}")
    keys = ("load_solar", "transform", "publish_the_result_for_everybody")
    places = [left(task_box(page, key).locator("rect")) for key in keys]
    assert places == sorted(set(places))
    task_box(page, "transform").click()
    page.wait_for_url(f"**/runs/{stage.task_run(repaired, 'transform')}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("transform")


def test_the_attempts_are_a_matrix_of_tasks_and_rounds(
    page: Page, stage: Stage, repaired: int
) -> None:
    page.goto(f"{stage.workspace.url}/runs/{repaired}")
    matrix = page.locator("table.attempts")
    expect(matrix.locator("th").nth(1)).to_contain_text("Original run")
    expect(matrix.locator("th").nth(2)).to_contain_text("Repair 1")
    row = matrix.locator("tr", has_text="transform")
    expect(row.locator("td").nth(0)).to_contain_text("Failed")
    expect(row.locator("td").nth(1)).to_contain_text("Success")
    kept = matrix.locator("tr", has_text="load_solar")
    expect(kept.locator("td").nth(0)).to_contain_text("Success")
    expect(kept.locator("td").nth(1)).to_contain_text("kept")
    row.get_by_role("link", name="Failed").click()
    expect(page.locator(".error")).to_contain_text("The column Solar is missing")


def test_the_error_comes_first(page: Page, stage: Stage, failed: int) -> None:
    for run_id in (failed, stage.task_run(failed, "transform")):
        page.goto(f"{stage.workspace.url}/runs/{run_id}")
        error = page.locator(".error")
        expect(error).to_contain_text("ValueError: The column Solar is missing")
        assert top(error) < top(page.get_by_role("heading", level=2))
        error.get_by_text("Trace", exact=True).click()
        expect(error.locator("pre")).to_contain_text("raise ValueError")


FITS = """frame => {
  const content = frame.contentDocument.documentElement;
  const spare = frame.clientHeight - content.getBoundingClientRect().height;
  return content.scrollHeight <= frame.clientHeight && spare >= 0 && spare < 20;
}"""


def test_a_notebook_shows_its_cells_and_outputs(page: Page, stage: Stage, failed: int) -> None:
    page.goto(f"{stage.workspace.url}/runs/{stage.task_run(failed, 'load_solar')}")
    cells = page.locator(".cell")
    expect(cells.nth(0).get_by_role("heading", name="Load")).to_be_visible()
    expect(cells.nth(1)).to_contain_text("What was read")
    expect(cells.nth(1)).to_contain_text("12 rows")
    frame = cells.nth(2).frame_locator("iframe")
    expect(frame.get_by_role("cell", name="2011")).to_be_visible()
    for cell in (cells.nth(2), cells.nth(3)):
        # Nothing to scroll, and no empty space below.
        page.wait_for_function(FITS, arg=cell.locator("iframe").element_handle())
    expect(page.get_by_text('{"rows": 12}').first).to_be_visible()
    page.goto(f"{stage.workspace.url}/runs/{stage.task_run(failed, 'transform')}")
    expect(page.locator(".cell.failed")).to_have_count(1)
    expect(page.locator(".cell.skipped")).to_contain_text("not run")


def test_what_a_notebook_displays_cannot_act(page: Page, stage: Stage, repaired: int) -> None:
    page.goto(f"{stage.workspace.url}/runs/{stage.task_run(repaired, 'load_solar')}")
    note = page.locator(".cell").nth(3).frame_locator("iframe").locator("#note")
    expect(note).to_have_text("harmless")
    expect(page).to_have_title(re.compile("load_solar"))


def test_a_live_run_is_followed_without_a_reload(page: Page, stage: Stage) -> None:
    stage.gate.unlink(missing_ok=True)
    run_id = stage.start("wait")
    task_run_id = stage.running(run_id, "transform")
    page.goto(f"{stage.workspace.url}/runs/{run_id}")
    page.evaluate("window.notReloaded = true")
    expect(task_box(page, "transform")).to_contain_text("Running")
    notebook = page.context.new_page()
    notebook.goto(f"{stage.workspace.url}/runs/{task_run_id}")
    expect(notebook.locator(".cell").nth(0)).to_contain_text("transforming")
    stage.gate.touch()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Success")
    expect(notebook.get_by_role("heading", level=1)).to_contain_text("Success")
    expect(notebook.locator(".cell").nth(3)).to_contain_text("never reached after a failure")
    assert page.evaluate("window.notReloaded") is True
    expect(page.locator("main[data-alive]")).to_have_count(0)


def test_tasks_of_every_kind_say_what_they_do(page: Page, stage: Stage) -> None:
    each = {"task_key": "one", "notebook_task": {"notebook_path": "/load"}}
    condition = {"op": "GREATER_THAN", "left": "{{job.repair_count}}", "right": "0"}
    job = stage.post(
        "2.2/jobs/create",
        name="kinds",
        tasks=[
            {"task_key": "check", "condition_task": condition},
            {
                "task_key": "other",
                "run_job_task": {"job_id": stage.job_id},
                "depends_on": [{"task_key": "check", "outcome": "false"}],
            },
            {"task_key": "each", "for_each_task": {"inputs": '["x", "y"]', "task": each}},
        ],
    )
    run_id = stage.post("2.2/jobs/run-now", job_id=job["job_id"])["run_id"]
    stage.ended(run_id)
    page.goto(f"{stage.workspace.url}/jobs/{job['job_id']}")
    expect(page.get_by_text("{{job.repair_count}} > 0")).to_be_visible()
    expect(page.get_by_text("check (false)")).to_be_visible()
    expect(page.get_by_text('/load, for each of ["x", "y"]')).to_be_visible()
    page.goto(f"{stage.workspace.url}/runs/{run_id}")
    expect(task_box(page, "check")).to_contain_text("Success: false")
    task_box(page, "each").click()
    page.get_by_role("link", name="Success").nth(1).click()
    expect(page.locator(".cell").nth(1)).to_contain_text("12 rows")
    page.get_by_role("link", name="task run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("each")
    page.goto(f"{stage.workspace.url}/runs/{stage.task_run(run_id, 'other')}")
    page.get_by_role("link", name=re.compile(r"^\d+$")).last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("renewables, every morning")
    page.get_by_role("link", name="task run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("other")


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_no_page_scrolls_sideways(page: Page, stage: Stage, repaired: int, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    load = stage.task_run(repaired, "load_solar")
    for path in ("", f"jobs/{stage.job_id}", f"runs/{repaired}", f"runs/{load}", "runs/1"):
        page.goto(f"{stage.workspace.url}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_exported_notebook_stands_alone(page: Page, stage: Stage, repaired: int) -> None:
    query = {"run_id": stage.task_run(repaired, "load_solar")}
    exported = stage.client.get("/api/2.0/jobs/runs/export", params=query).json()
    page.set_content(exported["views"][0]["content"])
    expect(page.locator(".cell").nth(1)).to_contain_text("12 rows")
    expect(page.locator(".cell").nth(3).frame_locator("iframe").locator("#note")).to_have_text(
        "harmless"
    )

"""A flow run that needs repairs, from the form to the report, as a person sees it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.prefect_ui import (
    FlowRun,
    choose_action,
    open_form,
    submit_form,
    wait_for_state,
)
from tests.browser.served import Served
from tests.browser.tabs import new_page

pytestmark = pytest.mark.slow

ERROR = "ValueError: The column Wind is missing"
SOURCES = ("Hydro", "Solar", "Wind")


@pytest.fixture(scope="module")
def norway(browser: Browser, served: Served) -> FlowRun:
    """A run for Norway from the form, whose second notebook failed once."""
    served.fail_transform_data(times=1)
    with new_page(browser) as page:
        open_form(page, served, "Norway")
        run = submit_form(page, served)
        wait_for_state(page, "Repaired")
    return run


def edges(nodes: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the arrows of a run graph; what failed is marked so."""

    def name(node: dict[str, Any]) -> str:
        return f"{node['label']}{' (red)' if node['state_type'] == 'FAILED' else ''}"

    return {
        (name(nodes[parent["id"]]), name(node))
        for node in nodes.values()
        for parent in node["parents"]
    }


def test_the_graph_tells_the_story(page: Page, norway: FlowRun) -> None:
    page.goto(norway.url)
    wait_for_state(page, "Repaired")
    expect(page.locator("main canvas")).to_be_visible()
    exports = {
        edge
        for source in SOURCES
        for edge in (
            (f"load synthetic-{source.lower()}.csv", f"select Norway from {source}"),
            (f"select Norway from {source}", f"export {source}"),
            (f"export {source}", "join_data"),
        )
    }
    databricks = {
        ("join_data", "transform_data (red)"),
        ("transform_data (red)", "repair"),
        ("repair", "transform_data"),
        ("join_data", "transform_data"),
        ("transform_data", "load result"),
        ("load result", "plot Norway"),
    }
    assert edges(norway.graph(page, "plot Norway")) == exports | databricks


def test_states_and_messages_say_what_happened(page: Page, served: Served, norway: FlowRun) -> None:
    page.goto(norway.url)
    expect(page.get_by_role("main")).to_contain_text("Norway")
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text("Run again on Databricks: transform_data")).to_be_visible()
    shown = norway.read(page)
    assert (shown["name"], shown["state_type"], shown["state_name"]) == (
        "Norway",
        "COMPLETED",
        "Repaired",
    )
    assert served.calls("POST jobs/run-now") == served.calls("POST jobs/runs/repair") == 1

    page.get_by_role("tab", name="Task Runs").click()
    expect(page.get_by_text("15 Task runs").last).to_be_visible()
    failed = next(
        node
        for node in norway.graph(page, "plot Norway").values()
        if node["state_type"] == "FAILED"
    )
    page.locator(f"a[href$='{failed['id']}']").first.click()
    log = page.get_by_role("tabpanel", name="Logs")
    expect(log).to_contain_text(ERROR)
    with page.expect_popup() as opened:
        log.get_by_role("link").first.click()
    notebook = opened.value
    expect(notebook.get_by_role("heading", level=1)).to_contain_text("transform_data")
    expect(notebook.locator(".error")).to_contain_text(ERROR)


def test_the_artifacts_are_one_of_a_kind(page: Page, norway: FlowRun) -> None:
    page.goto(norway.url)
    page.get_by_role("tab", name="Artifacts").click()
    kinds = ("databricks-run", "databricks-tasks", "databricks-error", "databricks-receipt")
    for kind in (*kinds, "renewable-share"):
        expect(page.get_by_role("link", name=re.compile(kind))).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_leads_from_the_headline_to_the_databricks_run(
    page: Page, norway: FlowRun, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(norway.url)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name=re.compile("renewable-share-norway")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile(r"Norway: [\d.]+ % of electricity from hydro, solar and wind in \d{4}")
    )
    chart = page.get_by_role("img", name="Chart of Norway")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 600
    numbers = page.get_by_role("table").first
    expect(numbers.get_by_role("row")).to_have_count(11)
    for element in (chart, *page.get_by_role("table").all()):
        box = element.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.get_by_role("link", name="Job run").click()
    attempts = page.locator("table.attempts")
    expect(attempts.locator("tr", has_text="join_data")).to_contain_text("kept")
    transform_data = attempts.locator("tr", has_text="transform_data").locator("td")
    expect(transform_data.nth(0)).to_contain_text("Failed")
    expect(transform_data.nth(1)).to_contain_text("Success")


def test_a_person_chooses_what_is_repaired(page: Page, served: Served) -> None:
    served.fail_transform_data(times=2)
    open_form(page, served, "Denmark")
    page.get_by_role("button", name="Select When Exhausted").click()
    page.get_by_role("option", name="ask", exact=True).click()
    run = submit_form(page, served)
    wait_for_state(page, "Paused|Suspended")
    assert served.calls("POST jobs/runs/repair") == 1
    form = choose_action(page, "Resume")
    row = form.get_by_role("row", name="transform_data")
    expect(row).to_contain_text("failed")
    expect(row).to_contain_text(ERROR)
    expect(form.get_by_role("textbox").first).to_have_value("transform_data")
    form.get_by_label("Note").fill("The column is back.")
    form.get_by_role("button", name="Resume").click()
    expect(form).to_have_count(0)
    wait_for_state(page, "Repaired")
    assert run.read(page)["state_type"] == "COMPLETED"
    assert served.calls("POST jobs/run-now") == 1
    assert served.calls("POST jobs/runs/repair") == 2


def test_retry_is_a_repair(page: Page, served: Served) -> None:
    served.fail_transform_data(times=2)
    open_form(page, served, "Germany")
    run = submit_form(page, served)
    wait_for_state(page, "Failed")
    assert ERROR in run.read(page)["state"]["message"]
    assert served.calls("POST jobs/runs/repair") == 1
    choose_action(page, "Retry").get_by_role("button", name="Retry").click()
    wait_for_state(page, "Repaired")
    assert served.calls("POST jobs/run-now") == 1
    assert served.calls("POST jobs/runs/repair") == 2

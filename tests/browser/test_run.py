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
REASON = "1 repair after failures of a notebook did not help, and user_code_repairs allows no more"
SOURCES = ("Hydro", "Solar", "Wind")


@pytest.fixture(scope="module")
def runs(browser: Browser, served: Served) -> dict[str, FlowRun]:
    """Runs from the form, by country.

    Nobody knows Norwai. Norway's second notebook has failed once. Those of Denmark and Germany fail
    twice, while the others are looked at: after the one repair that it is allowed, Denmark asks and
    Germany ends.
    """
    runs = {}
    with new_page(browser) as page:
        open_form(page, served, "Norway")
        page.get_by_role("tab", name="Type").click()
        page.get_by_role("tabpanel", name="Type").get_by_role("textbox").fill("Norwai")
        runs["Norwai"] = submit_form(page, served)

        served.fail_transform_data(times=1)
        open_form(page, served, "Norway")
        runs["Norway"] = submit_form(page, served)
        wait_for_state(page, "Repaired")
        assert served.calls("POST jobs/run-now") == served.calls("POST jobs/runs/repair") == 1

        served.fail_transform_data(times=4)
        open_form(page, served, "Denmark")
        page.get_by_role("button", name="Select When Exhausted").click()
        page.get_by_role("option", name="ask", exact=True).click()
        runs["Denmark"] = submit_form(page, served)
        open_form(page, served, "Germany")
        runs["Germany"] = submit_form(page, served)
    return runs


@pytest.fixture(scope="module")
def norway(runs: dict[str, FlowRun]) -> FlowRun:
    return runs["Norway"]


def edges(nodes: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the arrows of a run graph; what failed is marked so."""

    def name(node: dict[str, Any]) -> str:
        return f"{node['label']}{' (red)' if node['state_type'] == 'FAILED' else ''}"

    return {
        (name(nodes[parent["id"]]), name(node))
        for node in nodes.values()
        for parent in node["parents"]
    }


def test_the_page_of_a_run_tells_its_story(page: Page, norway: FlowRun) -> None:
    page.goto(norway.url)
    wait_for_state(page, "Repaired")
    expect(page.get_by_role("main")).to_contain_text("Norway")
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
    nodes = norway.graph(page, "plot Norway")
    assert edges(nodes) == exports | databricks

    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text("Run again on Databricks: transform_data")).to_be_visible()
    shown = norway.read(page)
    assert (shown["name"], shown["state_type"], shown["state_name"]) == (
        "Norway",
        "COMPLETED",
        "Repaired",
    )

    page.get_by_role("tab", name="Task Runs").click()
    expect(page.get_by_text("15 Task runs").last).to_be_visible()
    failed = next(node for node in nodes.values() if node["state_type"] == "FAILED")
    page.locator(f"a[href$='{failed['id']}']").first.click()
    log = page.get_by_role("tabpanel", name="Logs")
    expect(log).to_contain_text(ERROR)
    with page.expect_popup() as opened:
        log.get_by_role("link").first.click()
    notebook = opened.value
    expect(notebook.get_by_role("heading", level=1)).to_contain_text("transform_data")
    expect(notebook.locator(".error")).to_contain_text(ERROR)


def test_the_report_leads_from_the_headline_to_the_databricks_run(
    page: Page, norway: FlowRun
) -> None:
    page.goto(norway.url)
    page.get_by_role("tab", name="Artifacts").click()
    kinds = ("databricks-run", "databricks-tasks", "databricks-error", "databricks-receipt")
    for kind in (*kinds, "renewable-share"):
        expect(page.get_by_role("link", name=re.compile(kind))).to_have_count(1)
    page.get_by_role("link", name=re.compile("renewable-share-norway")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile(r"Norway: [\d.]+ % of electricity from hydro, solar and wind in \d{4}")
    )
    chart = page.get_by_role("img", name="Chart of Norway")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 600
    expect(page.get_by_role("table").first.get_by_role("row")).to_have_count(11)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
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


def test_a_country_that_nobody_knows_is_refused_on_the_first_screen(
    page: Page, runs: dict[str, FlowRun]
) -> None:
    page.goto(runs["Norwai"].url)
    wait_for_state(page, "Failed")
    refusal = page.get_by_text("No source has a country 'Norwai'. Did you mean Norway?").first
    expect(refusal).to_be_in_viewport()


def test_a_person_repairs_by_an_answer_and_by_a_retry(
    page: Page, served: Served, runs: dict[str, FlowRun]
) -> None:
    asking, failed = runs["Denmark"], runs["Germany"]
    page.goto(failed.url)
    wait_for_state(page, "Failed")
    message = failed.read(page)["state"]["message"]
    assert f"and was not repaired again: {REASON}. transform_data failed: {ERROR}" in message

    page.goto(asking.url)
    wait_for_state(page, "Paused|Suspended")
    page.get_by_label("log sort order").click()
    page.get_by_role("option", name="Newest to oldest").click()
    expect(page.get_by_text("Waiting for a decision: Resume")).to_be_visible()
    assert served.calls("POST jobs/runs/repair") == 2
    form = choose_action(page, "Resume")
    expect(form).to_contain_text(f"It is not repaired again unasked: {REASON}.")
    row = form.get_by_role("row", name="transform_data")
    expect(row).to_contain_text("failed")
    expect(row).to_contain_text(ERROR)
    expect(form).to_contain_text("Remove all, and the flow run fails instead.")
    expect(form.get_by_role("textbox").first).to_have_value("transform_data")
    form.get_by_label("Note").fill("The column is back.")
    form.get_by_role("button", name="Resume").click()
    expect(form).to_have_count(0)

    page.goto(failed.url)
    choose_action(page, "Retry").get_by_role("button", name="Retry").click()
    for run in (failed, asking):
        page.goto(run.url)
        wait_for_state(page, "Repaired")
        assert run.read(page)["state_type"] == "COMPLETED"
    assert served.calls("POST jobs/run-now") == 2
    assert served.calls("POST jobs/runs/repair") == 4

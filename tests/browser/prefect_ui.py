"""What a person does and sees in the Prefect UI."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.served import Served

# From the click until the worker's process has ended the run, on a busy machine.
RUN_MS = 180_000


@dataclass(frozen=True)
class FlowRun:
    """A flow run that was started in the browser.

    Attributes:
        id: Its id.
        url: Its page.
        api: The Prefect API.
    """

    id: str
    url: str
    api: str

    def read(self, page: Page) -> dict[str, Any]:
        """Return the flow run as the API shows it."""
        found: dict[str, Any] = page.request.get(f"{self.api}/flow_runs/{self.id}").json()
        return found

    def graph(self, page: Page, last: str) -> dict[str, dict[str, Any]]:
        """Return the nodes of the run graph by id, once the last of them has ended.

        The server records task runs from events, a moment after they happen.
        """
        deadline = time.monotonic() + 60
        while True:
            graph = page.request.get(f"{self.api}/flow_runs/{self.id}/graph-v2").json()
            nodes = {node["id"]: node for _, node in graph["nodes"]}
            ended = {node["label"] for node in nodes.values() if node["end_time"]}
            if last in ended and len(ended) == len({node["label"] for node in nodes.values()}):
                return nodes
            assert time.monotonic() < deadline, nodes
            page.wait_for_timeout(500)


def open_form(page: Page, served: Served, country: str) -> None:
    """Go to the run form of the deployment ``country``, as a newcomer would, and choose one."""
    page.goto(served.url)
    page.get_by_role("link", name="Deployments").click()
    page.get_by_role("link", name="country", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    page.get_by_role("button", name="Select Choose").click()
    page.get_by_role("option", name=country, exact=True).click()


def submit_form(page: Page, served: Served) -> FlowRun:
    """Submit the form, and go to the page of the flow run."""
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="View run").click()
    page.wait_for_url("**/runs/flow-run/*")
    page.get_by_role("tab", name="Logs").wait_for()  # the page before shows states of runs, too
    found = re.search(r"(.*/flow-run/([0-9a-f-]{36}))", page.url)
    assert found
    return FlowRun(id=found[2], url=found[1], api=f"{served.url}/api")


def wait_for_state(page: Page, name: str) -> None:
    """Wait until the page of a flow run shows that it is in a state."""
    badge = page.get_by_role("main").get_by_text(re.compile(f"^({name})$")).first
    expect(badge).to_be_visible(timeout=RUN_MS)


def choose_action(page: Page, name: str) -> Locator:
    """Choose something from the menu of a flow run's page, and return the dialog that opens."""
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name=name).click()
    return page.get_by_role("dialog").or_(page.get_by_role("alertdialog"))

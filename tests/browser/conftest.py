"""A browser, and a workspace with runs to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from blocks.local.workspace.testing import running_workspace
from tests.browser.stage import Stage, prepare

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, or else the one that Playwright has installed."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    # Chromium refuses its own sandbox to root.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if root else []
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page, on which nothing may go wrong unseen."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(10_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A workspace with a job."""
    folder = tmp_path_factory.mktemp("browser")
    with running_workspace(folder / "workspace") as workspace, workspace.client() as client:
        yield prepare(workspace, client, folder / "gate")


@pytest.fixture(scope="package")
def repaired(stage: Stage) -> int:
    """A run that failed and was repaired."""
    return stage.repaired()


@pytest.fixture(scope="package")
def failed(stage: Stage) -> int:
    """A run that failed."""
    run_id = stage.start("fail")
    stage.ended(run_id)
    return run_id

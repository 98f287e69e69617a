"""A browser, and what it looks at: a workspace with runs, and the whole project."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page

from blocks.local.workspace.testing import running_workspace
from tests.browser.served import Served
from tests.browser.served import served as serve
from tests.browser.stage import Stage, prepare
from tests.browser.tabs import launch, new_page

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the fixtures of a test whether it failed."""
    report = yield
    item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with launch() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """A fresh page, on which nothing may go wrong unseen; a test that fails leaves a picture."""
    errors: list[str] = []
    with new_page(browser) as page:

        def note(error: Error) -> None:
            # The workspace is on HTTPS. Prefect's UI is not, and its graph has errors of its own.
            if page.url.startswith("https:"):
                errors.append(str(error))

        page.on("pageerror", note)
        yield page
        if request.node.stash[_FAILED]:
            page.screenshot(path=tmp_path / "failed.png", full_page=True)
    assert errors == []


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole project, as ``renewables up`` serves it."""
    with serve(tmp_path_factory.mktemp("served")) as project:
        yield project


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

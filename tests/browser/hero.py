"""Makes the pictures of the README: ``python -m tests.browser.hero``.

They are of a real run, which is started from the form, fails once and is repaired.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page

from tests.browser.prefect_ui import open_form, submit_form, wait_for_state
from tests.browser.served import Served, served
from tests.browser.tabs import launch, new_page

PICTURES = Path(__file__).resolve().parents[2] / ".github" / "pictures"

# So that the page beside the menu is as wide as GitHub shows a README: 830 pixels.
_WIDTH, _HEIGHT, _MENU = 1086, 900, 256
_COLORS = 128


def main() -> None:
    """Serve the project, run it, and write the pictures."""
    with (
        tempfile.TemporaryDirectory(prefix="hero-") as folder,
        served(Path(folder)) as project,
        launch() as browser,
    ):
        take_pictures(project, browser)


def take_pictures(project: Served, browser: Browser) -> None:
    """Fill in the form, wait for the repaired run, and take a picture of each."""
    project.fail_transform_data(times=1)
    with new_page(browser, _WIDTH, _HEIGHT, pixels=2) as page:
        open_form(page, project, "Norway")
        save(page, "form.png", height=620)
        run = submit_form(page, project)
        wait_for_state(page, "Repaired")
        run.graph(page, last="plot Norway")
        page.goto(run.url)
        clear_graph(page)
        save(page, "run.png", height=508)


def clear_graph(page: Page) -> None:
    """Hide the dots of artifacts and events in the run graph, and fit it into its frame."""
    page.locator("canvas").wait_for()
    settings = page.locator("button:has(> .lucide-cog)")
    settings.click()
    page.get_by_role("switch", name="Hide artifacts").click()
    page.get_by_role("switch", name="Hide events").click()
    # Not with Escape, which shows the graph on the full screen.
    settings.click()
    page.get_by_role("dialog").wait_for(state="hidden")
    page.locator("button:has(> .lucide-crosshair)").click()
    page.mouse.move(0, 0)
    # The graph glides into its place, which nothing but the picture shows.
    page.wait_for_timeout(2000)


def save(page: Page, name: str, height: int) -> None:
    """Write a picture of the upper part of a page, without the menu, in few colours."""
    clip = FloatRect(x=_MENU, y=0, width=_WIDTH - _MENU, height=height)
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    PICTURES.mkdir(parents=True, exist_ok=True)
    # By coverage: the default would take the colour of a small red bar for one that can go.
    small = picture.quantize(_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()

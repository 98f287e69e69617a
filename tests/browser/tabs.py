"""A real browser and its pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# How long anything on a page may take to appear, on a busy machine.
_PATIENCE_MS = 30_000


@contextmanager
def launch() -> Iterator[Browser]:
    """Start the machine's own Chromium, or else the one that Playwright has installed."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    # Chromium refuses its own sandbox to root.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if root else []
        )
        yield browser
        browser.close()


@contextmanager
def new_page(
    browser: Browser, width: int = 1280, height: int = 900, pixels: float = 1
) -> Iterator[Page]:
    """Open a page as for a person who has never been here, and trusts the workspace.

    Args:
        browser: The browser.
        width: Of the window, in CSS pixels.
        height: Of the window, in CSS pixels.
        pixels: Pixels of a picture for one CSS pixel, in each direction.
    """
    context = browser.new_context(
        ignore_https_errors=True,  # the workspace's authority is its own
        viewport={"width": width, "height": height},
        device_scale_factor=pixels,
    )
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    yield page
    context.close()

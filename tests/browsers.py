"""A real browser for the tests of the page: the system's Chromium, offline."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync"
).split()

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="the page's tests need Chromium, none is installed"
)


def launch(playwright):
    """Chromium without a window."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

"""Photographs parts of a report, for README.md and docs/report.md; needs Chromium.

throughtime demo --out runs/demo
python docs/photograph_report.py runs/demo/report.html credit units    writes docs/report_*.png

throughtime inspect runs/drawn --out drawn.html      and other runs likewise
python docs/photograph_report.py drawn.html attention
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHOSEN = "#units.search=self"
"""What is chosen in the page, as its address says it."""

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def photograph(page: Page, section: str, folder: Path) -> Path:
    """One section as PNG, once it is drawn."""
    element = page.locator(f"#{section}")
    element.locator("h2").scroll_into_view_if_needed()
    page.locator(f"#{section}[data-drawn]").wait_for()
    page.wait_for_timeout(500)  # charts fit themselves to their place once they are drawn
    file = folder / f"report_{section}.png"
    element.screenshot(path=file, style=".tools, .numbers { display: none }")
    return file


def main(report: Path, sections: list[str], folder: Path) -> None:
    """Opens the page as a reader would, and writes a picture of each section."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        size = {"width": 1100, "height": 900}
        page = browser.new_page(viewport=size, device_scale_factor=1.5, offline=True)
        page.set_default_timeout(120_000)  # milliseconds, for a machine that is busy
        page.goto(report.absolute().as_uri() + CHOSEN)
        for section in sections:
            print(photograph(page, section, folder))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:], Path(__file__).parent)

"""The page, assembled: one HTML file that holds its data, its scripts and nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from throughtime.errors import OptionError
from throughtime.web.data import ReportData
from throughtime.web.pack import to_json

MOST_RUNS = 4
"""As many runs can be told apart side by side."""

MOST_BYTES = 15_000_000
"""Size of the largest page."""

SCRIPTS = (
    *("data", "state", "elements", "charts", "sections"),
    *("curves", "flow", "credit", "gates"),
    *("colours", "reader", "search", "units", "spectra", "points"),
    *("saliency", "pictures", "attention", "labels", "page"),
)
"""The page's own scripts, in the order in which they build on each other."""


def build_page(runs: Sequence[ReportData]) -> str:
    """One self-contained page about some runs, side by side.

    It loads nothing: its policy (Content-Security-Policy) allows no address at all and no script
    but the two that are in it, by their hash. What came from runs is data inside it, which its
    script shows as text.

    Args:
        runs: what was measured, one entry per run; 1 to 4 of the same task, each with a name of
            its own.

    Returns:
        HTML.

    Raises:
        OptionError: no runs, too many, of different tasks, or more data than a page may hold.
    """
    check_comparable([(run.name, run.task) for run in runs])
    from plotly.offline import get_plotlyjs

    plotly = get_plotlyjs().replace("\r\n", "\n")  # as browsers read it, before they hash it
    script = "\n".join(_read(f"script/{name}.js") for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    page = Template(_read("template.html")).substitute(
        policy=_policy(plotly, script),
        style=_read("page.css"),
        plotly=plotly,
        script=script,
        data=to_json({"runs": runs}),
    )
    size = len(page.encode())
    if size > MOST_BYTES:
        raise OptionError(
            f"a page must have at most {MOST_BYTES / 1e6:.0f} MB, got {size / 1e6:.1f}; "
            "inspect fewer runs at a time, or a shorter text."
        )
    return page


def check_comparable(tasks: Sequence[tuple[str, str]]) -> None:
    """Refuses runs that no page can show side by side.

    Args:
        tasks: of each run its name and what it learnt.

    Raises:
        OptionError: no runs, too many, or of different tasks.
    """
    if not 1 <= len(tasks) <= MOST_RUNS:
        raise OptionError(
            f"a page shows 1 to {MOST_RUNS} runs, got {len(tasks)}; inspect fewer at a time."
        )
    (first, task), *others = tasks
    for name, other in others:
        if other != task:
            raise OptionError(
                f"the runs of a page must have learnt the same task, got {task} ({first}) and "
                f"{other} ({name}); inspect them one at a time."
            )


def _policy(*scripts: str) -> str:
    """What the browser may load and run: these scripts, and pictures made by them.

    Styles in the page are allowed, since Plotly writes some; a style can load nothing here.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return files("throughtime.web").joinpath(name).read_text(encoding="utf-8")

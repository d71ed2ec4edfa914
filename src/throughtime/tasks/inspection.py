"""A trained run, inspected: everything that its report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from throughtime import record
from throughtime.errors import (
    DataError,
    OptionError,
    PackageError,
    RunError,
    ThroughtimeError,
)
from throughtime.tasks.inspection_curves import Lines, describe_run, read_curves
from throughtime.tasks.inspection_dynamics import measure_points, measure_spectra
from throughtime.tasks.inspection_gradients import measure_credit, measure_flow
from throughtime.tasks.inspection_recipes import recipe_of
from throughtime.tasks.inspection_subject import Asked, Recipe, Subject, View
from throughtime.tasks.inspection_units import measure_gates, measure_units, watch_reading
from throughtime.training.progress import Announce
from throughtime.web import Missing, ReportData, Section, build_page, check_comparable

SECTIONS = ("flow", "credit", "gates", "units", "spectra", "points")
"""The sections that a network is looked at for."""

MOST_VALUES = 3_000_000
"""Numbers of units over the text, in all runs of a page."""


def write_report(
    runs: Sequence[Path],
    out: Path,
    text: Path | None = None,
    prompt: str | None = None,
    announce: Announce = print,
) -> None:
    """Inspects some runs and writes one page about them.

    Args:
        runs: run folders, 1 to 4 of the same task.
        out: the page, a file that does not exist.
        text: what language models read; without it, each one's validation text.
        prompt: what language models begin to write with, to read that instead of a text.
        announce: prints a line.

    Raises:
        DataError: the text cannot be read, or has characters that a run never saw.
        OptionError: the runs cannot share a page, or both a text and a prompt are given.
        RunError: a folder is no run, or is damaged; or the page is in the way.
    """
    check_vacant_page(out)
    if text is not None and prompt is not None:
        raise OptionError("inspect must get a text or a prompt, got both; leave one of them out.")
    tasks = [str(record.read_config(run)["task"]) for run in runs]
    names = _names(runs)
    check_comparable(list(zip(names, tasks, strict=True)))
    share = MOST_VALUES // max(1, len(runs))
    reports = [
        inspect_run(run, name, text, prompt, share, announce)
        for run, name in zip(runs, names, strict=True)
    ]
    page = build_page(reports).encode()
    out.parent.mkdir(parents=True, exist_ok=True)
    record.write_atomically(out, page)


def check_vacant_page(out: Path) -> None:
    """Refuses to write over what is there.

    Raises:
        RunError: it exists.
    """
    if out.exists():
        raise RunError(
            f"--out must be a new file, {out} exists; choose another name, or delete it."
        )


def inspect_run(
    run: Path,
    name: str,
    text: Path | None = None,
    prompt: str | None = None,
    most_values: int = MOST_VALUES,
    announce: Announce = print,
) -> ReportData:
    """Everything that a page shows of one run.

    What cannot be measured is missing, for the reason that the refused instrument gave.

    Args:
        run: the run folder.
        name: how the page calls it.
        text: as in `write_report`.
        prompt: as in `write_report`.
        most_values: numbers that units over the text may take.
        announce: prints a line.

    Raises:
        DataError: the text that was asked for cannot be read.
        RunError: the folder is no run, or is damaged.
    """
    config, lines = record.read_config(run), record.read_metrics(run)
    asked = Asked(text, prompt, announce)
    recipe = recipe_of(run, asked)
    view = _open(recipe, run, asked)
    if isinstance(view, Missing):
        sections: dict[str, Any] = dict.fromkeys((*SECTIONS, *recipe.sections), view)
    else:
        sections = {}
        for what, measure in _measures(view, record.read_flight(run), most_values).items():
            announce(f"{name}: {what}")
            sections[what] = _attempt(measure)
    facts, curves = describe_run(config, lines, recipe), read_curves(lines, recipe.loss)
    return ReportData(name, str(config["task"]), facts, curves=curves, **sections)


def _open(recipe: Recipe, run: Path, asked: Asked) -> View | Missing:
    """A look into the run; what it has nothing to read for is missing unless that was asked for."""
    try:
        return recipe.open(run, asked)
    except (DataError, PackageError) as error:
        if asked.text is not None or asked.prompt is not None:
            raise
        more = " Another text can be given with --text FILE." if recipe.reads_text else ""
        return Missing(f"{_sentence(error)}{more}")


def _measures(view: View, flight: Lines, most_values: int) -> dict[str, Callable[[], Section]]:
    """How every section is measured, by its name."""
    subject = view.subject
    if isinstance(subject, Missing):
        return {**view.own, **dict.fromkeys(SECTIONS, lambda: subject)}
    return {**view.own, **_instruments(subject, flight, most_values)}


def _instruments(
    subject: Subject, flight: Lines, most_values: int
) -> dict[str, Callable[[], Section]]:
    """What instruments say of recurrent layers, by the name of the section."""
    tape = watch_reading(subject)
    return {
        "flow": lambda: measure_flow(subject, flight),
        "credit": lambda: measure_credit(subject),
        "gates": lambda: measure_gates(subject, tape),
        "units": lambda: measure_units(subject, tape, most_values),
        "spectra": lambda: measure_spectra(subject, tape),
        "points": lambda: measure_points(subject),
    }


def _attempt(measure: Callable[[], Section]) -> Section | Missing:
    try:
        return measure()
    except ThroughtimeError as error:
        return Missing(_sentence(error))


def _sentence(error: ThroughtimeError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _names(runs: Sequence[Path]) -> list[str]:
    """The folders' names, or their paths where two have the same name."""
    names = [run.resolve().name for run in runs]
    if len(set(names)) == len(names):
        return names
    paths = [str(run) for run in runs]
    if len(set(paths)) < len(paths):
        raise OptionError(f"the runs must differ, got {paths[0]} twice; name each of them once.")
    return paths

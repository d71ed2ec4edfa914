"""`throughtime bench`: how fast the layers are on this machine, beside others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from throughtime.errors import OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from throughtime.bench import Row
    from throughtime.bench.machine import Ceilings

DEFAULT_SHAPES = ("100,1,256,256", "100,32,256,256")


def bench(
    *,
    cell: list[Literal["rnn", "lstm", "gru"]] | None = None,
    shape: list[str] | None = None,
    mode: list[Literal["inference", "training"]] | None = None,
    peer: list[Literal["torch", "compile", "jax", "onnx"]] | None = None,
    rounds: int = 7,
    out: Path | None = None,
) -> None:
    """Time the layers on this machine beside torch, JAX and ONNX Runtime.

    Every result is verified against the plain loop before it is timed; all sides take turns, and
    the better of one and two threads counts. Peers that are not installed are named.

    Args:
        cell: Cells to time. [default: all]
        shape: Sizes T,B,I,H: steps, rows, inputs, hidden units.
        mode: Forward alone, or forward and backward. [default: both]
        peer: Libraries to compare with. [default: all that are installed]
        rounds: Turns of every side; the median counts.
        out: JSON file for every single time; must not exist yet.
    """
    from rich.console import Console

    from throughtime import bench as measuring
    from throughtime.bench import machine, report
    from throughtime.bench.peers import PEERS

    if rounds < 1:
        raise OptionError(f"rounds must be at least 1, got {rounds}; pass a whole number.")
    if out is not None and out.exists():
        raise OptionError(f"out must be a new file, {out} exists; choose another name.")
    shapes = [measuring.Shape.parse(text) for text in shape or DEFAULT_SHAPES]
    console, about = Console(highlight=False), machine.about()
    console.print(f"{about['processor']}, {about['kernels']} kernels, torch {about['torch']}")
    rows = []
    for name in cell or measuring.CELLS:
        for size in shapes:
            for kind in mode or measuring.MODES:
                rows.append(measuring.compare(name, size, kind, peer or list(PEERS), rounds))
    console.print(table_of(rows))
    console.print(ceilings_line(report.best_ceilings(rows)))
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        console.print(f"left out: {note}")
    if out is not None:
        from throughtime.record import write_json

        write_json(out, report.as_json(rows, about))


def ceilings_line(ceilings: Ceilings) -> str:
    """The measured ceilings as one line."""
    parts = []
    for threads, operations in ceilings.operations.items():
        reading = ceilings.reading[threads]
        levels = ", ".join(f"{level} {rate / 1e9:.0f}" for level, rate in reading.items())
        parts.append(
            f"{threads} thread{'s' * (threads > 1)}: {operations / 1e9:.0f} GF/s, {levels} GB/s"
        )
    return "at best, " + "; ".join(parts)


def table_of(rows: list[Row]) -> Table:
    """What was measured, for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from throughtime.bench import report

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(report.HEAD):
        justify: Literal["left", "right"] = "right" if index in report.RIGHT else "left"
        table.add_column(name, justify=justify, no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*report.cells_of(row))
    return table

"""`throughtime demo`: the comparison as a person watches it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.cli.output import new_folder

if TYPE_CHECKING:
    from rich.table import Table

    from throughtime.instruments import Credit

COLOURS = ("blue", "red")


def show_demo(*, out: Path | None = None, seed: int = 1) -> None:
    """Watch an LSTM and a plain RNN learn Python's own source code: three minutes or so.

    Trains both with the same number of hidden units for the same number of updates, prints both
    learning curves, lets the LSTM write twenty lines of Python, draws how far back in time the
    gradient of each one reaches, and writes a page to look into both.

    Args:
        out: New folder for both runs, the picture and the page. [default: runs/demo-DATE-TIME]
        seed: Seed of every random draw.
    """
    from rich.console import Console

    from throughtime.tasks import demo
    from throughtime.tasks.inspection import write_report

    began, size = time.perf_counter(), demo.Size()
    out = out or new_folder("demo")
    console = Console(highlight=False)
    console.print(
        f"An LSTM and a plain tanh RNN, {size.hidden} hidden units each, read the same "
        f"{size.updates * size.batch * size.window / 1e6:.1f} million characters of Python's "
        f"standard library, {size.updates} updates each."
    )
    runs = demo.compare(out, seed, size, lambda line: print(line, flush=True))

    console.print("\n[bold]Bits per character on text neither has seen[/] (lower is better)\n")
    console.print(curves_table({name: demo.validation_curve(run) for name, run in runs.items()}))

    console.print("\n[bold]Twenty lines of Python by the LSTM[/] (temperature 0.7)\n")
    for piece in demo.write_python(runs["LSTM"], seed):
        print(piece, end="", flush=True)

    console.print("\n[bold]How far back in time the gradient reaches[/]\n")
    found = {name: demo.measure_reach(run, size) for name, run in runs.items()}
    console.print(reach_table(found))
    picture = demo.draw_reach(found, out, size)
    console.print("\n[bold]Looking into both networks[/]\n")
    report = out / "report.html"
    write_report(list(runs.values()), report, announce=lambda line: print(line, flush=True))
    print(f"\nThe report:  {report}, a page to be opened in a browser")
    print(f"The picture: {picture} (and .svg)")
    print(f"Both runs:   {runs['LSTM']}  {runs['tanh RNN']}")
    print(f"It took {time.perf_counter() - began:.0f} seconds. Next, try:\n")
    print(f"  throughtime generate {runs['LSTM']} --prompt 'class ' --temperature 0.5")
    print(f"  throughtime evaluate {runs['tanh RNN']}")
    print("  throughtime train language-model --hidden 512 --epochs 3")


def curves_table(curves: dict[str, dict[int, float]]) -> Table:
    """Validation curves side by side, a bar beside each number.

    Args:
        curves: bits per character by update, by model; all at the same updates.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    longest = max(max(curve.values()) for curve in curves.values())
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("update", justify="right")
    for name, colour in zip(curves, COLOURS, strict=False):
        table.add_column(name, style=colour)
    first, *_ = curves.values()
    for update in first:
        cells = (
            f"{curve[update]:.3f} {'━' * round(20 * curve[update] / longest)}"
            for curve in curves.values()
        )
        table.add_row(f"{update:,}", *cells)
    return table


def reach_table(found: dict[str, Credit]) -> Table:
    """The gradient at a few lags, relative to lag 0, and the lag where it is under 1 %.

    Args:
        found: what was measured, by model.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("steps back", justify="right")
    for name, colour in zip(found, COLOURS, strict=False):
        table.add_column(name, style=colour, justify="right")
    shares = [credit.by_lag().mean("batch").values for credit in found.values()]
    for lag in (1, 3, 10, 30, 100):
        if lag < min(map(len, shares)):
            table.add_row(str(lag), *(f"{share[lag]:.1e}" for share in shares))
    horizons = (credit.memory_horizon().lag for credit in found.values())
    table.add_section()
    table.add_row("under 1 %", *("never" if h is None else f"after {h}" for h in horizons))
    return table

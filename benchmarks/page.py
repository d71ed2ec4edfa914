"""Writes the page of the benchmarks, its picture and its numbers, from what run.py measured.

python benchmarks/page.py build/benchmarks.json docs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from throughtime.bench import Row, report
from throughtime.bench.machine import Ceilings

GIGA = 1e9


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table in Markdown."""
    rule = ["--:" if index in right else "---" for index in range(len(head))]
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def about(content: dict[str, str], ceilings: Ceilings) -> str:
    """The machine and what it can do at best."""
    versions = ", ".join(
        f"{name} {content[name]}" for name in ("torch", "jax", "onnxruntime", "numpy", "python")
    )
    rows = [
        (
            str(n),
            f"{ceilings.operations[n] / GIGA:.0f}",
            *(f"{r / GIGA:.0f}" for r in rates.values()),
        )
        for n, rates in ceilings.reading.items()
    ]
    levels = [f"{level} GB/s" for level in ceilings.reading[1]]
    return (
        f"Measured {content['date']} on {content['processor']} ({content['system']}), "
        f"{content['kernels']} kernels; {versions}.\n\n"
        + table(["threads", "GF/s", *levels], rows, range(1, 7))
    )


def means(rows: Sequence[Row]) -> str:
    """Geometric means over the grid, and the rows in which somebody else is faster."""
    found = [
        (cell.upper(), mode, f"{torch:.2f}", f"{best:.2f}")
        for cell, mode, torch, best in report.means(rows)
    ]
    slower = [
        (row.cell.upper(), str(row.shape), row.mode, f"{row.ratio(*row.others):.2f}",
         row.best(*row.others)[0], f"{100 * row.spread():.0f} %")
        for row in report.slower_rows(rows)
    ]  # fmt: skip
    text = table(["cell", "mode", "against torch", "against the best of all"], found, (2, 3))
    if slower:
        head = ["cell", "T,B,I,H", "mode", "ratio", "faster", "our spread"]
        text += "\n\nSlower than somebody, beyond the spread of our times:\n\n"
        text += table(head, slower, (3, 5))
    return text


def reading(parts: dict[str, dict[str, float]]) -> str:
    """One row of the batch: how fast W_hh is read, of what two threads can read."""
    rows = [
        (*key.split(), f"{found['rate'] / GIGA:.0f}", f"{100 * found['L2']:.0f} %",
         f"{100 * found['L3']:.0f} %")
        for key, found in parts.items()
    ]  # fmt: skip
    return table(["cell", "H", "GB/s", "of L2", "of L3"], rows, range(1, 5))


def streaming(parts: dict[str, dict[str, float]]) -> str:
    """Microseconds of one step of an LSTM."""
    sides = list(next(iter(parts.values())))
    rows = [
        (size, *(f"{1e6 * times[side]:.1f}" for side in sides)) for size, times in parts.items()
    ]
    return table(["H", *(f"{side} µs" for side in sides)], rows, range(4))


def overhead(times: dict[str, float]) -> str:
    """Microseconds of a call that has hardly any arithmetic."""
    return table(["call", "µs"], [(name, f"{time:.1f}") for name, time in times.items()], (1,))


def recurrence(parts: dict[str, dict[str, float]]) -> str:
    """Shares of the multiply-adds of two threads."""
    rows = [
        (*key.split(), *(f"{100 * share:.0f} %" for share in shares.values()))
        for key, shares in parts.items()
    ]
    return table(["cell", "T,B,H", "inference", "training"], rows, (2, 3))


def stacked(parts: dict[str, dict[str, float]]) -> str:
    """Milliseconds of a stack and of its parts."""
    rows = [
        (*key.split(), mode, f"{times[f'stack {mode}']:.2f}", f"{times[f'four {mode}']:.2f}",
         f"{times[f'four {mode}'] / times[f'stack {mode}']:.2f}")
        for key, times in parts.items()
        for mode in ("inference", "training")
    ]  # fmt: skip
    return table(["cell", "T,B,H", "mode", "stack ms", "four ms", "ratio"], rows, (3, 4, 5))


def sequence(parts: dict[str, dict[str, float]]) -> str:
    """Milliseconds of rows of lengths and of options, and how many times as long others take."""
    others = ("packed", "padded", "eager", "compiled", "JAX")
    rows = []
    for key, times in parts.items():
        ours, spread = times["ours"], f"{100 * times['spread']:.0f}"
        ratios = [f"{times[side] / ours:.2f}" if side in times else "-" for side in others]
        plain = f"{ours / times['plain']:.2f}" if "plain" in times else "-"
        rows.append((*key.split("|"), f"{ours:.2f}", spread, plain, *ratios))
    head = ["layer", "H", "mode", "ms", "± %", "of plain", *others]
    text = table(head, rows, (1, *range(3, len(head))))
    is_complete = any("JAX" in times for times in parts.values())
    return text if is_complete else f"{text}\n\nLeft out: jax not installed."


def page(content: dict[str, Any]) -> str:
    """The whole page."""
    rows = [Row.from_dict(row) for row in content["rows"].values()]
    notes = dict.fromkeys(note for row in rows for note in row.notes)
    cells = [report.cells_of(row) for row in rows]
    return f"""# Benchmarks

How fast the layers are on one machine, and how far from what it can do. Run it on yours:
`make bench` measures and writes this page, `throughtime bench` measures a shape of your choice.

{about(content["about"]["machine"], report.best_ceilings(rows))}

GF/s: multiply-adds in registers; the rest: reading weights from that level of the caches, all
threads together. Every side is verified against the plain loop, then all take turns; a time is the
median of the turns, and each side has the better of one and two threads (JAX takes what it wants).
In training the weights stay the same from call to call, so that our copies of them last; the inputs
want no gradient.

## Geometric means

How many times as long the others take, over twelve shapes:

{means(rows)}

![Rates of the layers under the machine's ceilings](roofline.png)

## Every row

`ms` is our time and `± %` its spread; `torch` and `best` say how many times as long torch and the
fastest of the others take; `FMA` is the share of the multiply-adds, projections counted.

{table(report.HEAD, cells, report.RIGHT)}
{"".join(f"{chr(10)}Left out: {note}." for note in notes)}

## The recurrent kernel alone

A layer without inputs; the share of the multiply-adds of two threads:

{recurrence(content["recurrence"])}

## One row: reading the weights

With one row a step does two operations per weight, so that reading W_hh is the limit. Again the
layer without inputs, over 100 steps in inference; each of two threads reads half of the weights:

{reading(content["reading"])}

## Two stacked bidirectional layers

One call, beside four single layers one after the other, on two threads:

{stacked(content["stacked"])}

## One step per call

An LSTM with as many inputs as units, one row, one thread, numpy in and out:

{streaming(content["streaming"])}

## What a call costs

An LSTM of four units on two steps, one thread:

{overhead(content["overhead"]["tiny"])}

## Lengths and options

Measured {content["about"]["sequence"]["date"]}: compare within a row,
since milliseconds of two days differ by half.

T = 100, B = 32, as many inputs as units, two threads. `ms` is our time and `± %` its spread; `of
plain` says how many times as long that is as our own layer takes without the option, or over all
100 steps of every row; the other columns say how many times as long others take as ours: torch's
layer over packed rows (`pack_padded_sequence`, `pad_packed_sequence`) and over all the padding; the
same cell written by hand as a loop over the steps in torch, eager and with its step, not the whole
loop, under `torch.compile`; and `lax.scan` in JAX. A row has 1 to 100 steps, each number as likely.
Masks are drawn anew at every call, for every side by torch. Outside training recurrent dropout is
the plain LSTM. `python benchmarks/sequence.py` measures this table alone.

{sequence(content["sequence"])}
"""


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(f"page.py needs a JSON file and a folder, got {sys.argv[1:]}; pass both.")
    text, folder = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    content = json.loads(text)
    rows = [Row.from_dict(row) for row in content["rows"].values()]
    (folder / "benchmarks.md").write_text(page(content))
    (folder / "benchmarks.json").write_text(text)
    report.draw_roofline(rows).savefig(folder / "roofline.png", dpi=130)


if __name__ == "__main__":
    main()

"""Measures everything of docs/benchmarks.md on this machine and writes it as JSON, part by part.

    python benchmarks/run.py build/benchmarks.json

What the file holds already is not measured again, so that an interrupted run goes on; to begin
afresh, name another file. `page.py` makes the page and the picture of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from overhead import call_overhead
from recurrence import reading_alone, recurrence_alone
from sequence import measure_all
from stacked import stacked_layers

from throughtime.bench import CELLS, GRID, MODES, compare, machine
from throughtime.bench.peers import PEERS
from throughtime.bench.streaming import step_times


class Results:
    """A JSON file that is written again after every part, never half."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, part: str, key: str, measure: Callable[[], Any]) -> None:
        """Measures a part that is not there yet, and keeps it."""
        group = self.content.setdefault(part, {})
        if key in group:
            return
        group[key] = measure()
        print(part, key, flush=True)
        unfinished = self.path.with_suffix(".part")
        unfinished.write_text(json.dumps(self.content, indent=1))
        os.replace(unfinished, self.path)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("run.py needs the JSON file to write; pass for example build/benchmarks.json.")
    results = Results(Path(sys.argv[1]))
    results.add("about", "machine", lambda: machine.about() | {"date": date.today().isoformat()})
    for size in (64, 128, 256, 512):
        results.add("streaming", str(size), lambda size=size: step_times(size))
    results.add("overhead", "tiny", call_overhead)
    for cell in CELLS:
        for mode in MODES:
            for shape in GRID:
                results.add(
                    "rows",
                    f"{cell} {mode} {shape}",
                    lambda: compare(cell, shape, mode, list(PEERS), 15).as_dict(),  # noqa: B023
                )
    for cell in CELLS:
        for sizes in ((100, 32, 256), (100, 64, 512), (20, 128, 1024)):
            key = f"{cell} {','.join(map(str, sizes))}"
            results.add("recurrence", key, lambda: recurrence_alone(cell, *sizes))  # noqa: B023
        for H in (128, 256, 512, 1024):
            results.add("reading", f"{cell} {H}", lambda: reading_alone(cell, 100, H))  # noqa: B023
        for sizes in ((100, 32, 256), (100, 1, 256)):
            key = f"{cell} {','.join(map(str, sizes))}"
            results.add("stacked", key, lambda: stacked_layers(cell, *sizes))  # noqa: B023
    results.add("about", "sequence", lambda: {"date": date.today().isoformat()})
    for key, measure in measure_all():
        results.add("sequence", key, measure)


if __name__ == "__main__":
    main()

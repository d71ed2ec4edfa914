"""Instructions of the kernels for fixed shapes: more of them is a slower kernel on any machine.

`make count` compares with kernels/tests/counts.json, `make count UPDATE=1` writes it anew.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from kernel_builds import ROOT, build, run, tool

# the compiler makes copies of `counted` with longer names
COUNTED = ["--toggle-collect=counted*", "--dump-after=counted*"]
KNOWN = ROOT / "kernels" / "tests" / "counts.json"
SLACK = 1.02  # memory functions of the C library differ a little from machine to machine


def measure() -> dict:
    """The compiler, and the instructions of every call, counted by valgrind."""
    program = build("kernels") / "kernel_count"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        options = ["--tool=callgrind", *COUNTED]
        printed = run(tool("valgrind"), *options, f"--callgrind-out-file={out}", program)
        compiler, *names = printed.splitlines()
        dumps = [Path(f"{out}.{k + 1}").read_text() for k in range(len(names))]
    counts = [int(re.search(r"^(?:summary|totals): (\d+)", dump, re.M)[1]) for dump in dumps]
    return {"compiler": compiler, "instructions": dict(zip(names, counts, strict=True))}


def grown(known: dict, measured: dict) -> list[str]:
    """One line for every call that takes more instructions than it is known to."""
    before, now = known["instructions"], measured["instructions"]
    return [
        f"{name}: {now[name]} instructions, were {count}"
        for name, count in before.items()
        if now[name] > count * SLACK
    ]


def known_counts() -> dict:
    """What kernels/tests/counts.json holds."""
    return json.loads(KNOWN.read_text())


if __name__ == "__main__":
    measured = measure()
    if "--update" in sys.argv:
        KNOWN.write_text(json.dumps(measured, indent=2) + "\n")
    elif known_counts()["compiler"] != measured["compiler"]:
        print(f"not compared: counted with {known_counts()['compiler']}")
    else:
        for name, count in measured["instructions"].items():
            print(f"{name}: {count}, was {known_counts()['instructions'].get(name)}")
        sys.exit("\n".join(grown(known_counts(), measured)) or None)

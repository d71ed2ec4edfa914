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

KNOWN = ROOT / "kernels" / "tests" / "counts.json"
SLACK = 1.02  # memory functions of the C library differ a little from machine to machine


def measure() -> dict:
    """The compiler, and the instructions of every call, counted by valgrind."""
    program = build("kernels") / "kernel_count"
    compiler, *names = run(program).splitlines()
    calls = {name: count(program, number) for number, name in enumerate(names, start=1)}
    return {"compiler": compiler, "instructions": calls}


def count(program: Path, number: int) -> int:
    """Instructions of one of the program's calls."""
    with tempfile.NamedTemporaryFile() as out:
        # the compiler makes copies of `counted`, with longer names
        options = ["--tool=callgrind", "--toggle-collect=counted*"]
        options.append(f"--callgrind-out-file={out.name}")
        run(tool("valgrind"), *options, program, str(number))
        return int(re.search(r"^totals: (\d+)", Path(out.name).read_text(), re.M)[1])


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

"""The kernels and their tests in C++, built by CMake without Python: one folder per way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool(name: str) -> str:
    """The path of a program, in this environment or installed; skips the test without it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or pytest.skip(f"untested: there is no {name}")


def build(folder: str, **settings: str) -> Path:
    """Builds in build/<folder>, with these variables of CMake."""
    cmake, place = tool("cmake"), ROOT / "build" / folder
    given = [f"-D{name}={value}" for name, value in settings.items()]
    run(cmake, "-S", ROOT / "kernels" / "tests", "-B", place, *given)
    run(cmake, "--build", place, "--parallel", "2")
    return place


def run(*command: str | Path) -> str:
    """What the command printed; skips the test where it says so, fails where it fails."""
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode == 77:
        pytest.skip(process.stdout.splitlines()[-1])
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
    return process.stdout

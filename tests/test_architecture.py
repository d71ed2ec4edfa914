"""The import table of ARCHITECTURE.md holds, and importing stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "throughtime"

MAY_IMPORT = {
    "errors": set(),
    "axes": {"errors"},
    "generators": set(),
    "cells": {"errors", "axes"},
    "sequences": {"errors", "axes"},
    "data": {"errors", "axes"},
    "record": {"errors", "axes"},
    "native": {"errors", "axes", "cells", "sequences"},
    "bptt": {"errors", "axes", "cells", "sequences", "native"},
    "layers": {"errors", "axes", "cells", "sequences", "native"},
    "init": {"errors", "cells", "layers"},
    "decode": {"errors", "axes", "cells", "native", "layers", "bptt"},
    "instruments": {
        *("errors", "axes", "generators", "cells", "sequences", "native", "layers", "bptt"),
        "record",
    },
    "stream": {"errors", "native", "layers"},
    "onnx": {"errors", "native", "layers"},
    "web": {"errors", "axes", "record"},
    "training": {
        *("errors", "axes", "generators", "cells", "bptt", "data", "record", "instruments"),
    },
    "tasks": {
        *("errors", "axes", "generators", "cells", "native", "layers", "init", "bptt"),
        *("data", "record", "decode", "stream", "instruments", "web", "training"),
    },
    "bench": {"errors", "cells", "native", "layers", "stream", "onnx"},
    "cli": {
        *("bench", "errors", "data", "record", "decode", "instruments", "web", "training", "tasks"),
    },
}


def imports_of(module: str) -> set[str]:
    """The modules of the package that a module's files import, at any depth."""
    place = PACKAGE / module
    files = sorted(place.glob("**/*.py")) if place.is_dir() else [place.with_suffix(".py")]
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "throughtime":
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "throughtime."
            ):
                found.add(node.module.split(".")[1])
    return found - {module, "__version__"}


def test_every_module_stands_in_the_table():
    modules = {p.stem for p in PACKAGE.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert modules - {"__init__", "py", "__pycache__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_a_module_imports_only_what_the_table_allows(module):
    assert imports_of(module) <= MAY_IMPORT[module]


def modules_after(code: str) -> set[str]:
    """The top-level modules loaded in a fresh interpreter that ran the code."""
    script = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_no_torch():
    assert "torch" not in modules_after("import throughtime")


def test_using_a_layer_loads_no_heavy_library_beside_torch():
    heavy = {"matplotlib", "lightning", "tokenizers", "rich", "cyclopts", "yaml", "xarray"}
    assert not heavy & modules_after("import throughtime as tt; tt.LSTM(2, 3)")

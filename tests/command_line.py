"""The command line as tests call it; the fixtures that use it stand in `conftest.py`."""

import sys

COMMAND = [sys.executable, "-c", "import sys; from throughtime.cli import main; sys.exit(main())"]
SMALL = "--hidden 8 --layers 1 --window 5 --batch 3 --epochs 1 --threads 1".split()
TEXT = "to be, or not to be, that is the question:\n" * 12


def assert_mistake(result, *parts):
    """Exit code 2, nothing on stdout, one line on stderr with all the parts."""
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1 and result.err.startswith("error: ")
    for part in parts:
        assert part in result.err

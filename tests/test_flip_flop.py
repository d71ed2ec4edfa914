"""Three bits are held in eight stable fixed points, whatever the cell."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "flip_flop.py"
MEMORIES = "+++ ++- +-+ +-- -++ -+- --+ ---"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_every_cell_holds_three_bits_in_eight_stable_points(seed, capsys, tmp_path):
    picture = tmp_path / "picture.png"
    runpy.run_path(str(EXAMPLE))["main"](["--seed", str(seed), "--out", str(picture)])
    pattern = r"^(\w+) +[\d.]+ +(\d+) +\d+ +[\d.]+ steps  ([-+ ]+?)  "
    rows = re.findall(pattern, capsys.readouterr().out, re.M)
    assert rows == [(cell, "8", MEMORIES) for cell in ("rnn", "gru", "lstm")]
    assert picture.stat().st_size > 10_000

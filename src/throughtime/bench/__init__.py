"""MEASURING: our layers beside those of others, on this machine and for any shape."""

from throughtime.bench.compare import Row, compare
from throughtime.bench.shapes import CELLS, GRID, MODES, Shape

__all__ = ["CELLS", "GRID", "MODES", "Row", "Shape", "compare"]

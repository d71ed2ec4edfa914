"""What `return_all=True` adds to a training step whose loss looks at y alone.

    python benchmarks/return_all.py

prints milliseconds of both steps, and their ratio, per cell and size; one thread.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch

from throughtime.bench import CELLS
from throughtime.bench.compare import take_turns
from throughtime.bench.peers import OURS

STEPS, ROWS, ROUNDS = 100, 32, 21


def step_times(cell: str, H: int) -> dict[str, float]:
    """Milliseconds of a plain training step, and of one that returns everything."""
    torch.set_num_threads(1)
    layer = OURS[cell](H, H)
    x, dy = torch.randn(STEPS, ROWS, H), torch.randn(STEPS, ROWS, H)

    def train(return_all: bool) -> Any:
        for weight in layer.parameters():
            weight.grad = None
        y, *others = layer(x, return_all=return_all)
        y.backward(dy)
        return others

    times = take_turns({"plain": lambda: train(False), "all": lambda: train(True)}, ROUNDS)
    return {name: 1e3 * statistics.median(found) for name, found in times.items()}


def main() -> None:
    print(f"{'cell':6}{'H=I':>5}{'plain ms':>10}{'all ms':>10}{'ratio':>7}")
    for cell in CELLS:
        for H in (128, 256):
            plain, everything = step_times(cell, H).values()
            print(f"{cell:6}{H:5}{plain:10.2f}{everything:10.2f}{everything / plain:7.2f}")


if __name__ == "__main__":
    main()

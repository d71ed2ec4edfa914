"""The exact gradient of a very long sequence: memory and time, checkpointed and in full.

    python benchmarks/long_sequences.py

An LSTM over T steps of one row, a squared error at every step. The input and its gradient are
allocated first; the memory is what the peak lies above that. Each line is a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from throughtime import LSTM, bptt

RUNS = [
    ("full", 10_000, 256, 256),
    ("checkpointed", 10_000, 256, 256),
    ("checkpointed", 100_000, 256, 256),
    ("full", 100_000, 256, 256),
    ("checkpointed", 1_000_000, 32, 128),
]
STRATEGIES = {"full": bptt.Full(), "checkpointed": bptt.Checkpointed()}


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(strategy: str, T: int, num_inputs: int, hidden: int) -> None:
    """Prints one line: strategy, sizes, MB above the input and its gradient, seconds."""
    torch.manual_seed(0)
    layer = LSTM(num_inputs, hidden)
    x = torch.randn(T, 1, num_inputs, requires_grad=True)
    x.grad = torch.zeros_like(x)
    x.grad.fill_(0)  # the system gives memory when it is first written

    def loss(outputs: torch.Tensor, steps: slice) -> torch.Tensor:
        return outputs.square().sum() / T

    before, start = resident(), time.perf_counter()
    STRATEGIES[strategy].backward(layer, x, loss)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(f"| {strategy} | {T:,} | {num_inputs} | {hidden} | {peak / 1e6:.0f} | {seconds:.1f} |")


def main() -> None:
    """Runs every line."""
    print("| BPTT | T | I | H | MB | s |\n| --- | --: | --: | --: | --: | --: |", flush=True)
    for run in RUNS:
        subprocess.run([sys.executable, __file__, *map(str, run)], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        measure(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        main()

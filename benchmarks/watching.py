"""What watching adds to a training step: of our layers, and of `torch.nn`'s.

    python benchmarks/watching.py

A step is a forward and a backward pass over T = 100 steps, from a loss that looks at y, and an
update by AdamW; `bare` is without the update. Two layers over the same parameters take turns, one
of them watched: ten steps against ten where a tape keeps every step, in whose memory the next one
goes; step against step, 50 of each, where it keeps one of 50. Told is the median of the rounds'
ratios. Two threads, ten minutes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

import throughtime as tt
from throughtime.bench.compare import seconds, spread

STEPS, EVERY = 100, 50
ROUNDS = {(1, 128): 40, (32, 128): 20, (32, 256): 10}
"""By B and H = I: steps of 50 milliseconds scatter less than short ones, and last."""
KINDS: dict[str, Callable[..., Any]] = {
    "tt.RNN": tt.RNN,
    "tt.LSTM": tt.LSTM,
    "tt.GRU": tt.GRU,
    "nn.LSTM": nn.LSTM,
}


def ratio(sides: Sequence[Callable[[], None]], turns: int, steps: int, first: int) -> float:
    """How many times as long the second side takes as the first, over so many turns of steps."""
    times = [0.0, 0.0]
    for turn in range(first, first + turns):
        for side in (turn % 2, 1 - turn % 2):
            times[side] += seconds(sides[side], steps)
    return times[1] / times[0]


def cost(kind: str, B: int, H: int) -> tuple[float, list[list[float]]]:
    """Milliseconds of a plain step, and the ratios of a row."""
    layer, twin = KINDS[kind](H, H), KINDS[kind](H, H)
    for name, weight in layer.named_parameters():
        setattr(twin, name, weight)
    x, dy = torch.randn(STEPS, B, H), torch.randn(STEPS, B, H)
    optimizer = torch.optim.AdamW(layer.parameters())

    def bare(of: nn.Module) -> None:
        optimizer.zero_grad()
        of(x)[0].backward(dy)

    def step(of: nn.Module) -> None:
        bare(of)
        optimizer.step()

    found = []
    for run, every, turns, steps in ((step, 1, 1, 10), (bare, 1, 1, 10), (step, EVERY, EVERY, 1)):
        with tt.watch(twin, tt.Keep(every=every)):
            for _ in range(EVERY):  # a whole turn of the tape, in which memory finds its place
                run(twin)
            sides = partial(run, layer), partial(run, twin)
            found.append([ratio(sides, turns, steps, first) for first in range(ROUNDS[B, H])])
    times = [seconds(partial(step, layer), 1) for _ in range(EVERY)]
    return 1e3 * statistics.median(times), found


def main() -> None:
    torch.set_num_threads(2)
    print("| layer | B | H = I | plain, ms | every step | ± % | bare | ± % | every 50th | ± % |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for kind in KINDS:
        for B, H in ROUNDS:
            plain_ms, found = cost(kind, B, H)
            watched = [f"{statistics.median(r):.3f} | {100 * spread(r):.1f}" for r in found]
            print(f"| {kind} | {B} | {H} | {plain_ms:.2f} | {' | '.join(watched)} |", flush=True)


if __name__ == "__main__":
    main()

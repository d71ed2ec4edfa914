"""What watching adds to a training step: of our layers, and of `torch.nn`'s.

    python benchmarks/watching.py

A step is a forward and a backward pass over T = 100 steps, from a loss that looks at y, and an
update by AdamW; `bare` is without the update. Blocks of steps of one and the same layer take turns,
with a tape and without, either beginning every other time: ten steps of which the tape keeps every
one, or 50 of which it keeps one. Two threads; ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import throughtime as tt
from throughtime.bench.compare import seconds, spread

STEPS, ROUNDS, FEWEST, EVERY = 100, 16, 10, 50
SIZES = [(1, 128), (32, 128), (32, 256)]
KINDS: dict[str, Callable[..., Any]] = {
    "tt.RNN": tt.RNN,
    "tt.LSTM": tt.LSTM,
    "tt.GRU": tt.GRU,
    "nn.LSTM": nn.LSTM,
}


def ratios(layer: nn.Module, step: Callable[[], None], every: int) -> list[float]:
    """How many times as long a block of steps takes with a tape that keeps every n-th, by round."""
    count, found = max(every, FEWEST), []

    def plain() -> None:
        for _ in range(count):
            step()

    def watched() -> None:
        with tt.watch(layer, tt.Keep(every=every)):
            plain()

    for prepare in (plain, watched):
        prepare()  # the first calls of a layer prepare much that later ones find
    for turn in range(ROUNDS):
        sides = (plain, watched) if turn % 2 else (watched, plain)
        first, second = (seconds(side, 1) for side in sides)
        found.append(second / first if turn % 2 else first / second)
    return found


def cost(kind: str, B: int, H: int) -> tuple[float, list[list[float]]]:
    """Milliseconds of a plain step, and the ratios of a row."""
    layer, x, dy = KINDS[kind](H, H), torch.randn(STEPS, B, H), torch.randn(STEPS, B, H)
    optimizer = torch.optim.AdamW(layer.parameters())

    def bare() -> None:
        optimizer.zero_grad()
        layer(x)[0].backward(dy)

    def step() -> None:
        bare()
        optimizer.step()

    found = [ratios(layer, step, 1), ratios(layer, bare, 1), ratios(layer, step, EVERY)]
    return 1e3 * statistics.median(seconds(step, 1) for _ in range(EVERY)), found


def main() -> None:
    torch.set_num_threads(2)
    print("| layer | B | H = I | plain, ms | every step | ± % | bare | ± % | every 50th | ± % |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for kind in KINDS:
        for B, H in SIZES:
            plain_ms, found = cost(kind, B, H)
            watched = [f"{statistics.median(r):.3f} | {100 * spread(r):.1f}" for r in found]
            print(f"| {kind} | {B} | {H} | {plain_ms:.2f} | {' | '.join(watched)} |", flush=True)


if __name__ == "__main__":
    main()

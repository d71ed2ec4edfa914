"""What watching adds to a training step: of our layers, and of `torch.nn`'s.

    python benchmarks/watching.py

A step is a forward and a backward pass over T = 100 steps, from a loss that looks at y, and an
update by AdamW; `bare` is without the update. A tape keeps everything of the last kept step: of
every step, or of every 50th; then 50 steps in a row are timed, each side beginning in turn. Two
threads; ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

import throughtime as tt
from throughtime.bench.compare import seconds, spread, take_turns

STEPS, EVERY, ROUNDS = 100, 50, 10
SIZES = [(1, 128), (32, 128), (32, 256)]
KINDS: dict[str, Callable[..., Any]] = {
    "tt.RNN": tt.RNN,
    "tt.LSTM": tt.LSTM,
    "tt.GRU": tt.GRU,
    "nn.LSTM": nn.LSTM,
}


def step_of(layer: nn.Module, B: int, H: int, updates: bool) -> Callable[[], None]:
    """A training step, with its update or without."""
    x, dy = torch.randn(STEPS, B, H), torch.randn(STEPS, B, H)
    optimizer = torch.optim.AdamW(layer.parameters())

    def step() -> None:
        optimizer.zero_grad()
        layer(x)[0].backward(dy)
        if updates:
            optimizer.step()

    return step


class Cost(NamedTuple):
    """Milliseconds of a plain step, and the ratios of the ways of watching to it."""

    plain_ms: float
    every: list[float]
    bare: list[float]
    every_50th: list[float]


def cost(kind: str, B: int, H: int) -> Cost:
    """What watching adds to the steps of one layer."""
    tapes = []

    def side(every: int, updates: bool = True) -> Callable[[], None]:
        layer = KINDS[kind](H, H)
        if every:
            tapes.append(tt.watch(layer, tt.Keep(every=every)))
        return step_of(layer, B, H, updates)

    plain = side(0)
    whole = take_turns({"plain": plain, "watched": side(1)}, ROUNDS)
    bare = take_turns({"plain": side(0, False), "watched": side(1, False)}, ROUNDS)
    every, every_bare = (
        [b / a for a, b in zip(times["plain"], times["watched"], strict=True)]
        for times in (whole, bare)
    )
    some = side(EVERY)
    some()  # the first of the kept ones
    every_50th = [block_ratio(plain, some, r % 2 == 0) for r in range(ROUNDS)]
    return Cost(1e3 * statistics.median(whole["plain"]), every, every_bare, every_50th)


def block_ratio(plain: Callable[[], None], watched: Callable[[], None], is_first: bool) -> float:
    """How many times as long 50 watched steps take as 50 plain ones, begun with either."""
    sides = (watched, plain) if is_first else (plain, watched)
    first, second = (seconds(side, EVERY) for side in sides)
    return first / second if is_first else second / first


def main() -> None:
    torch.set_num_threads(2)
    print("| layer | B | H = I | plain, ms | every step | ± % | bare | ± % | every 50th | ± % |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for kind in KINDS:
        for B, H in SIZES:
            plain, *found = cost(kind, B, H)
            watched = [f"{statistics.median(r):.3f} | {100 * spread(r):.0f}" for r in found]
            print(f"| {kind} | {B} | {H} | {plain:.2f} | {' | '.join(watched)} |", flush=True)


if __name__ == "__main__":
    main()

"""What watching adds to a training step: of our layers, and of `torch.nn`'s.

    python benchmarks/watching.py

A step is a forward and a backward pass over T = 100 steps, from a loss that looks at y. A tape
keeps everything of the last kept step: of every step, or of every 50th; then 50 steps in a row are
timed, each side beginning in turn. Two threads; ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

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


def step_of(layer: nn.Module, B: int, H: int) -> Callable[[], None]:
    """A training step without its update."""
    x, dy = torch.randn(STEPS, B, H), torch.randn(STEPS, B, H)

    def step() -> None:
        for weight in layer.parameters():
            weight.grad = None
        layer(x)[0].backward(dy)

    return step


def ratios(kind: str, B: int, H: int) -> tuple[float, list[float], list[float]]:
    """Milliseconds of a plain step, and the ratios of both ways of watching to it."""
    sides: dict[str, Callable[[], None]] = {}
    tapes = []
    for name, every in {"plain": 0, "every": 1, "50th": EVERY}.items():
        layer = KINDS[kind](H, H)
        sides[name] = step_of(layer, B, H)
        if every:
            tapes.append(tt.watch(layer, tt.Keep(every=every)))
    times = take_turns({name: sides[name] for name in ("plain", "every")}, ROUNDS)
    every_step = [b / a for a, b in zip(times["plain"], times["every"], strict=True)]
    sides["50th"]()  # the first of the kept ones
    every_50th = [block_ratio(sides["plain"], sides["50th"], r % 2 == 0) for r in range(ROUNDS)]
    return 1e3 * statistics.median(times["plain"]), every_step, every_50th


def block_ratio(plain: Callable[[], None], watched: Callable[[], None], is_first: bool) -> float:
    """How many times as long 50 watched steps take as 50 plain ones, begun with either."""
    sides = (watched, plain) if is_first else (plain, watched)
    first, second = (seconds(side, EVERY) for side in sides)
    return first / second if is_first else second / first


def main() -> None:
    torch.set_num_threads(2)
    print("| layer | B | H = I | plain, ms | every step | ± % | every 50th | ± % |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    for kind in KINDS:
        for B, H in SIZES:
            plain, *found = ratios(kind, B, H)
            watched = [f"{statistics.median(r):.3f} | {100 * spread(r):.0f}" for r in found]
            print(f"| {kind} | {B} | {H} | {plain:.2f} | {' | '.join(watched)} |", flush=True)


if __name__ == "__main__":
    main()

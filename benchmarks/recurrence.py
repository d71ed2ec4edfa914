"""The recurrent kernel alone: a layer without inputs, h_t = step(W_hh h_{t-1} + b_hh)."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from throughtime import native
from throughtime.bench.compare import take_turns, worst_error
from throughtime.bench.machine import Ceilings, measure_ceilings
from throughtime.bench.peers import OURS, Run
from throughtime.bench.shapes import CELLS
from throughtime.layers import unroll_directions


def recurrence_alone(cell: str, T: int, B: int, H: int) -> dict[str, float]:
    """Share of the multiply-adds of two threads that the products with W_hh reach.

    forward 2 T B G H^2 operations;   backward the same for dL/dh and for dL/dW_hh
    """
    times, ceilings = _measure(_sides(cell, T, B, H))
    operations = 2.0 * T * B * CELLS[cell] * H * H / ceilings.operations[2]
    return {
        mode: factor * operations / times[mode]
        for mode, factor in (("inference", 1), ("training", 3))
    }


def reading_alone(cell: str, T: int, H: int) -> dict[str, float]:
    """Bytes a second at which one row reads W_hh, and their share of what two threads can read.

    forward 4 T G H^2 bytes
    """
    sides = {"inference": _sides(cell, T, 1, H)["inference"]}
    times, ceilings = _measure(sides)
    rate = 4.0 * T * CELLS[cell] * H * H / times["inference"]
    return {"rate": rate} | {level: rate / ceilings.reading[2][level] for level in ("L2", "L3")}


def _measure(sides: dict[str, Run]) -> tuple[dict[str, float], Ceilings]:
    """Median seconds by side, and what the machine can do."""
    torch.set_num_threads(2)
    before = measure_ceilings()
    times = take_turns(sides, 15)
    ceilings = before.with_better(measure_ceilings())
    return {name: statistics.median(found) for name, found in times.items()}, ceilings


def _sides(cell: str, T: int, B: int, H: int) -> dict[str, Run]:
    """The kernel in inference and in training, verified against the loop."""
    own = OURS[cell](1, H).cells()[0][0]
    weights = {name: getattr(own, name).detach() for name in ("weight_hh", "bias_ih", "bias_hh")}
    weights["weight_ih"] = torch.empty(len(weights["bias_hh"]), 0)
    weights = {name: torch.nn.Parameter(weight) for name, weight in weights.items()}
    cells = [type(own)(**weights)]
    x, dy = torch.empty(T, B, 0), torch.randn(T, B, H)
    wanted = [weights["weight_hh"], weights["bias_hh"]]

    def results(forward: Any, training: bool) -> list[Any]:
        if not training:
            with torch.no_grad():
                return [forward()]
        y = forward()
        return [y.detach(), *torch.autograd.grad(y, wanted, dy)]

    def kernel() -> Any:
        return native.run_layer(unroll_directions, cells, x)[0]

    def loop() -> Any:
        start = cells[0].initial_state(B)
        states = type(start)(*(field.unsqueeze(0) for field in start))
        return unroll_directions(cells, x, states)[0]

    sides = {
        "inference": lambda: results(kernel, False),
        "training": lambda: results(kernel, True),
    }
    for mode, run in sides.items():
        if worst_error(run(), results(loop, mode == "training")) > 1e-3:
            raise AssertionError(f"{cell} {T},{B},{H} {mode}: the kernel differs from the loop")
    return sides

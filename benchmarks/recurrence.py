"""The recurrent kernel alone: a layer without inputs, h_t = step(W_hh h_{t-1} + b_hh)."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from throughtime import native
from throughtime.bench.compare import take_turns, worst_error
from throughtime.bench.machine import measure_ceilings
from throughtime.bench.peers import OURS
from throughtime.bench.shapes import CELLS
from throughtime.layers import unroll_directions


def recurrence_alone(cell: str, T: int, B: int, H: int) -> dict[str, float]:
    """Share of the multiply-adds of two threads that the products with W_hh reach.

    forward 2 T B G H^2 operations;   backward the same for dL/dh and for dL/dW_hh
    """
    torch.set_num_threads(2)
    own = OURS[cell](1, H).cells()[0][0]
    weights = {name: getattr(own, name).detach() for name in ("weight_hh", "bias_ih", "bias_hh")}
    weights["weight_ih"] = torch.empty(len(weights["bias_hh"]), 0)
    for weight in weights.values():
        weight.requires_grad_()
    with_weights = [type(own)(**weights)]
    x, dy = torch.empty(T, B, 0), torch.randn(T, B, H)
    wanted = [weights["weight_hh"], weights["bias_hh"]]

    def results(forward: Any, training: bool) -> list[Any]:
        if not training:
            with torch.no_grad():
                return [forward()]
        y = forward()
        return [y.detach(), *torch.autograd.grad(y, wanted, dy)]

    def kernel() -> Any:
        return native.run_layer(unroll_directions, with_weights, x)[0]

    def loop() -> Any:
        start = with_weights[0].initial_state(B)
        states = type(start)(*(field.unsqueeze(0) for field in start))
        return unroll_directions(with_weights, x, states)[0]

    before, operations, shares = measure_ceilings(), 2.0 * T * B * CELLS[cell] * H * H, {}
    sides = {
        "inference": lambda: results(kernel, False),
        "training": lambda: results(kernel, True),
    }
    for mode, run in sides.items():
        if worst_error(run(), results(loop, mode == "training")) > 1e-3:
            raise AssertionError(f"{cell} {T},{B},{H} {mode}: the kernel differs from the loop")
    times = take_turns(sides, 7)
    ceiling = before.with_better(measure_ceilings()).operations[2]
    for mode, factor in (("inference", 1), ("training", 3)):
        shares[mode] = factor * operations / statistics.median(times[mode]) / ceiling
    return shares

"""Two stacked bidirectional layers in one call, beside four single runs one after the other."""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor

from throughtime.bench.compare import take_turns, worst_error
from throughtime.bench.peers import OURS, TORCH


def stacked_layers(cell: str, T: int, B: int, H: int) -> dict[str, float]:
    """Milliseconds of the stack and of the four runs, for inference and training, on two threads.

    The four runs are two layers with H inputs and two with 2 H, each over the whole sequence. As
    in the stack, only the inputs of the second two want a gradient in training.
    """
    torch.set_num_threads(2)
    stack = OURS[cell](H, H, num_layers=2, bidirectional=True)
    single = [OURS[cell](inputs, H) for inputs in (H, H, 2 * H, 2 * H)]
    x, wide, dy = torch.randn(T, B, H), torch.randn(T, B, 2 * H), torch.randn(T, B, 2 * H)
    wide.requires_grad_()
    theirs = TORCH[cell](H, H, num_layers=2, bidirectional=True)
    theirs.load_state_dict(stack.state_dict())
    if worst_error([stack(x)[0].detach()], [theirs(x)[0].detach()]) > 1e-3:
        raise AssertionError(f"{cell} {T},{B},{H}: the stack differs from torch")

    def run(layers: list[Any], inputs: list[Tensor], training: bool) -> list[Any]:
        with torch.set_grad_enabled(training):
            found = [layer(given)[0] for layer, given in zip(layers, inputs, strict=True)]
        wide.grad = None
        for y in found if training else []:
            y.backward(dy[..., : y.shape[-1]])
        return found

    sides = {
        f"{name} {mode}": lambda layers=layers, inputs=inputs, mode=mode: run(
            layers, inputs, mode == "training"
        )
        for mode in ("inference", "training")
        for name, layers, inputs in (
            ("stack", [stack], [x]),
            ("four", single, [x, x, wide, wide]),
        )
    }
    times = take_turns(sides, 15)
    return {name: 1e3 * statistics.median(found) for name, found in times.items()}

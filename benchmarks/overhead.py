"""What a call costs beside its kernel: a layer of four units on two steps."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import nn

from throughtime.bench.compare import take_turns
from throughtime.layers import LSTM


def call_overhead() -> dict[str, float]:
    """Microseconds of a forward call and of a training step, by side, on one thread."""
    torch.set_num_threads(1)
    x, dy = torch.randn(2, 1, 4), torch.ones(2, 1, 4)
    linear, ours, theirs = nn.Linear(4, 4), LSTM(4, 4), nn.LSTM(4, 4)
    scale = torch.randn(2, 1, 4, requires_grad=True)

    def forward(layer: nn.Module) -> object:
        with torch.no_grad():
            return layer(x)

    def training_of(layer: nn.Module) -> Callable[[], None]:
        weights = list(layer.parameters())  # once, as an optimiser does

        def train() -> None:
            for weight in weights:
                weight.grad = None
            layer(x)[0].backward(dy)

        return train

    def train_product() -> None:
        scale.grad = None
        (x * scale).backward(dy)

    times = take_turns(
        {
            "forward nn.Linear": lambda: forward(linear),
            "forward throughtime": lambda: forward(ours),
            "forward nn.LSTM": lambda: forward(theirs),
            "training x * w": train_product,
            "training throughtime": training_of(ours),
            "training nn.LSTM": training_of(theirs),
        },
        15,
    )
    return {name: 1e6 * statistics.median(found) for name, found in times.items()}

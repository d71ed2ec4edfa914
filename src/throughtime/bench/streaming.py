"""One step per call: our stream beside `nn.LSTMCell` and ONNX Runtime."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from throughtime.bench.compare import take_turns
from throughtime.bench.peers import missing
from throughtime.layers import LSTM
from throughtime.stream import open_session

Step = Callable[[Any], Any]


def step_times(H: int, rounds: int = 15) -> dict[str, float]:
    """Median seconds of one step of an LSTM with H inputs and H units, B = 1, by side.

    Every side starts from zeros and is verified against the layer over some steps before.
    """
    layer = LSTM(H, H)
    x = np.random.default_rng(0).normal(size=(5, H)).astype(np.float32)
    with torch.no_grad():
        truth = layer(torch.from_numpy(x))[0].numpy()
    sides = _sides(layer, H)
    for name, step in sides.items():
        found = np.stack([np.asarray(step(x_t)).reshape(-1).copy() for x_t in x])
        if np.abs(found - truth).max() > 1e-4:
            raise AssertionError(f"{name} differs from the layer")
    times = take_turns({name: partial(step, x[0]) for name, step in sides.items()}, rounds)
    return {name: statistics.median(values) for name, values in times.items()}


def _sides(layer: LSTM, H: int) -> dict[str, Step]:
    session, out = open_session(layer), np.empty(H, np.float32)
    sides: dict[str, Step] = {"throughtime": lambda x: session.step(x, out)}
    sides["LSTMCell"] = _torch_cell(layer, H)
    if not missing("onnx"):
        from throughtime.bench.onnx_peer import one_step

        weights: Sequence[Any] = [weight.detach().numpy() for weight in layer.parameters()]
        sides["ORT"] = one_step("lstm", H, weights)
    return sides


def _torch_cell(layer: LSTM, H: int) -> Step:
    cell = torch.nn.LSTMCell(H, H)
    with torch.no_grad():
        for mine, theirs in zip(cell.parameters(), layer.parameters(), strict=True):
            mine.copy_(theirs)
    state = [torch.zeros(1, H), torch.zeros(1, H)]

    def step(x: Any) -> Any:
        with torch.no_grad():
            state[:] = cell(torch.from_numpy(x).unsqueeze(0), tuple(state))
        return state[0]

    return step

"""The sides of a comparison: every one runs the same layer on the same numbers.

A side is made from a `Problem` and is called to run once; it returns y and, in training, the
gradients of the weights, as arrays. What is not installed is left out by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.bench.shapes import Shape
from throughtime.bench.written import PLAIN
from throughtime.layers import GRU, LSTM, RNN, unroll_directions

OURS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
Run = Callable[[], Sequence[Any]]


@dataclass
class Problem:
    """One layer with its weights, an input, and dL/dy; in training or not."""

    cell: str
    shape: Shape
    mode: str
    options: dict[str, Any] = field(default_factory=dict)  # of our layer, beyond torch's

    def __post_init__(self) -> None:
        T, B, I, H = self.shape  # noqa: E741
        generator = torch.Generator().manual_seed(0)
        self.layer = OURS[self.cell](I, H, **self.options).train(self.mode == "training")
        self.x = torch.randn(T, B, I, generator=generator)
        outputs = self.options.get("proj_size", H)
        self.dy = torch.randn(T, B, outputs, generator=generator)

    def truth(self) -> list[Tensor]:
        """What the plain loop gives."""
        cells = self.layer.cells()[0]
        state = cells[0].initial_state(self.shape.B)
        start = type(state)(*(field.unsqueeze(0) for field in state))
        return self._results(lambda: unroll_directions(cells, self.x, start)[0], self.layer)

    def _results(self, forward: Callable[[], Tensor], layer: nn.Module) -> list[Tensor]:
        if self.mode == "inference":
            with torch.no_grad():
                return [forward()]
        weights = list(layer.parameters())
        for weight in weights:
            weight.grad = None
        y = forward()
        y.backward(self.dy)  # type: ignore[no-untyped-call]
        return [y.detach(), *(weight.grad for weight in weights if weight.grad is not None)]

    def run_module(self, layer: nn.Module, threads: int, call: Callable[..., Any]) -> Run:
        """A side that is a torch module, or a compiled call of one."""

        def run() -> list[Tensor]:
            torch.set_num_threads(threads)
            return self._results(lambda: call(self.x)[0], layer)

        return run

    def arrays(self) -> list[np.ndarray[Any, Any]]:
        """W_ih, W_hh, b_ih and b_hh."""
        return [weight.detach().numpy() for weight in self.layer.parameters()]


def ours(problem: Problem) -> Iterator[tuple[str, Run]]:
    """Our layer."""
    for threads in (1, 2):
        yield f"throughtime, {threads}", problem.run_module(problem.layer, threads, problem.layer)


def torch_layer(problem: Problem) -> nn.Module:
    """Torch's layer with the same weights."""
    layer: nn.Module = TORCH[problem.cell](problem.shape.I, problem.shape.H)
    layer.load_state_dict(problem.layer.state_dict())
    return layer


def torch_eager(problem: Problem) -> Iterator[tuple[str, Run]]:
    """`torch.nn`'s layer as it is."""
    layer = torch_layer(problem)
    for threads in (1, 2):
        yield f"torch, {threads}", problem.run_module(layer, threads, layer)


def torch_compiled(problem: Problem) -> Iterator[tuple[str, Run]]:
    """`torch.nn`'s layer under `torch.compile`, which runs recurrent modules as they are."""
    layer = torch_layer(problem)
    yield "compile, 2", problem.run_module(layer, 2, torch.compile(layer))


def jax_scan(problem: Problem) -> Iterator[tuple[str, Run]]:
    """`jax.lax.scan` over the cell's step, compiled; XLA takes the threads it wants."""
    from throughtime.bench.jax_peer import run_jax

    written = PLAIN[problem.cell]
    dy = problem.dy if problem.mode == "training" else None
    yield "JAX", run_jax(written, written.weights(problem.layer), problem.x, dy)


def onnx_runtime(problem: Problem) -> Iterator[tuple[str, Run]]:
    """ONNX Runtime's recurrent operator."""
    from throughtime.bench.onnx_peer import run_onnx

    if problem.mode == "inference":
        for threads in (1, 2):
            run = run_onnx(problem.cell, problem.shape, problem.arrays(), problem.x, threads)
            yield f"ORT, {threads}", run


PEERS = {
    "torch": (torch_eager, ()),
    "compile": (torch_compiled, ()),
    "jax": (jax_scan, ("jax",)),
    "onnx": (onnx_runtime, ("onnx", "onnxruntime")),
}
"""Every peer, and the packages it needs."""


def missing(peer: str) -> list[str]:
    """The packages that a peer needs and that are not installed."""
    return [package for package in PEERS[peer][1] if find_spec(package) is None]

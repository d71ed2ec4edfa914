"""Decides whether a layer runs in the compiled kernel, and runs it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from throughtime.cells import AnyCell, State
from throughtime.native.functions import Layer, LayerForward, run_forward
from throughtime.native.kernels import KernelCell, kernel_of
from throughtime.native.operators import run_operator

Unroll = Callable[[Sequence[AnyCell], Tensor, State, Tensor | None], tuple[Tensor, State]]


def refusal(cells: Sequence[AnyCell], x: Tensor) -> str | None:
    """Why a layer takes the plain loop, or None when it runs in the compiled kernel.

    Args:
        cells: the cells of the layer's directions.
        x: its input.
    """
    if kernel_of(cells[0]) is None:
        return "this cell has no kernel"
    if x.device.type != "cpu":
        return f"kernels run on the CPU, the input is on {x.device}"
    if x.dtype not in (torch.float32, torch.float64):
        return f"kernels compute in float32 and float64, the input is {x.dtype}"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are taken through the loop"
    return None


def run_layer(
    unroll: Unroll,
    cells: Sequence[AnyCell],
    x: Tensor,
    state: State,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Runs one layer in the compiled kernel, with the numbers of `unroll`.

    Args:
        unroll: the plain loop over the layer's directions, which defines the result and gives
            the derivatives that the kernel does not have.
        cells: one cell, or two for a bidirectional layer; `refusal` must be None for them.
        x: inputs, [T, B, I], or packed [N, I].
        state: initial states, fields [D, B, H].
        batch_sizes: rows of each step of a packed input, int64 [T] on the CPU.

    Returns:
        y: [T, B, D*H] or [N, D*H].
        state: final states, fields [D, B, H].
    """
    kernel = kernel_of(cells[0])
    assert kernel is not None
    known = cast(Sequence[KernelCell], cells)
    weights = [weight for cell in known for weight in _weights(cell)]
    tensors = (x, *state, *weights)
    if torch.compiler.is_compiling():
        results = run_operator(kernel, tensors, batch_sizes)
    else:
        layer = Layer(kernel, batch_sizes, partial(_loop, unroll, known, type(state), batch_sizes))
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            outputs = LayerForward.apply(layer, *tensors)  # type: ignore[no-untyped-call]
            results = outputs[: 1 + kernel.num_states]
        else:
            results, _ = run_forward(layer, tensors, training=False)
    return results[0], type(state)(*results[1:])


def _weights(cell: KernelCell) -> list[Tensor]:
    weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    return [weight for weight in weights if weight is not None]


def _loop(
    unroll: Unroll,
    cells: Sequence[KernelCell],
    state_type: type[State],
    batch_sizes: Tensor | None,
    x: Tensor,
    *tensors: Tensor,
) -> tuple[Tensor, ...]:
    """The plain loop as a function of every tensor it reads."""
    num_states = len(state_type._fields)
    state, weights = state_type(*tensors[:num_states]), tensors[num_states:]
    kinds = len(weights) // len(cells)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[:kinds]
    replaced: list[KernelCell] = []
    for d, cell in enumerate(cells):
        given: dict[str, Any] = dict(zip(names, weights[d * kinds :], strict=False))
        replaced.append(replace(cell, **given))
    y, final = unroll(replaced, x, state, batch_sizes)
    return (y, *final)

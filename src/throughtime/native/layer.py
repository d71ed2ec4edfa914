"""Decides whether a layer runs in the compiled kernel, and runs it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from throughtime.cells import AnyCell, State
from throughtime.errors import ShapeError
from throughtime.native.functions import Layer, LayerForward, run_forward
from throughtime.native.kernels import Kernel, KernelCell, kernel_of
from throughtime.native.operators import run_operator

Unroll = Callable[[Sequence[AnyCell], Tensor, State, Tensor | None], tuple[Tensor, State]]


def refusal(cells: Sequence[AnyCell], x: Tensor) -> str | None:
    """Why a layer takes the plain loop, or None when it runs in the compiled kernel.

    Args:
        cells: the cells of the layer's directions, as `Recurrent.cells()` gives them per layer.
        x: its input.
    """
    if kernel_of(cells[0]) is None:
        return "this cell has no kernel"
    if any(kernel_of(cell) is not kernel_of(cells[0]) for cell in cells[1:]):
        return "the two directions have cells of different kinds"
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

    Raises:
        ShapeError: a weight or state does not fit the others; a kernel reads what lies behind a
            pointer, so that nothing may pass here that torch's own operators would refuse.
    """
    kernel = kernel_of(cells[0])
    assert kernel is not None
    known = cast(Sequence[KernelCell], cells)
    weights = [weight for cell in known for weight in _weights(cell, kernel, x)]
    _check_states(state, len(cells), known[0].weight_hh.shape[1], x)
    tensors = (x, *state, *weights)
    if _is_traced(tensors):
        results = run_operator(kernel, tensors, batch_sizes)
    else:
        layer = Layer(kernel, batch_sizes, partial(_loop, unroll, known, type(state), batch_sizes))
        if _is_differentiated(tensors):
            outputs = LayerForward.apply(layer, *tensors)  # type: ignore[no-untyped-call]
            results = outputs[: 1 + kernel.num_states]
        else:
            results, _ = run_forward(layer, tensors, training=False)
    return results[0], type(state)(*results[1:])


def _is_traced(tensors: Sequence[Tensor]) -> bool:
    """Whether somebody records the operators of a graph or stands in for tensors with memory."""
    return (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or any(type(tensor) not in (Tensor, Parameter) for tensor in tensors)
    )


def _is_differentiated(tensors: Sequence[Tensor]) -> bool:
    """Whether autograd or a transform of `torch.func` may ask for more than the outputs."""
    return torch._C._are_functorch_transforms_active() or (
        torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    )


def _weights(cell: KernelCell, kernel: Kernel, x: Tensor) -> list[Tensor]:
    """The weights that a cell has, each of the shape and kind the kernel reads."""
    if (cell.bias_ih is None) != (cell.bias_hh is None):
        raise ShapeError("bias_ih and bias_hh must both be there or not, got one; add the other.")
    H = cell.weight_hh.shape[-1]
    rows = kernel.num_gates * H
    shapes = {
        "weight_ih": (rows, x.shape[-1]),
        "weight_hh": (rows, H),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    weights = []
    for name, shape in shapes.items():
        weight = getattr(cell, name)
        if weight is not None:
            _check(name, weight, shape, x)
            weights.append(weight)
    return weights


def _check_states(state: State, num_directions: int, H: int, x: Tensor) -> None:
    batch = state[0].shape[1] if state[0].dim() == 3 else -1
    for name, field in zip(state._fields, state, strict=True):
        _check(name, field, (num_directions, batch, H), x)


def _check(name: str, tensor: Tensor, shape: tuple[int, ...], x: Tensor) -> None:
    if tensor.shape != shape or tensor.dtype != x.dtype or tensor.device != x.device:
        raise ShapeError(
            f"{name} must be {list(shape)} in {x.dtype} on {x.device} to go with the input, got "
            f"{list(tensor.shape)} in {tensor.dtype} on {tensor.device}; make them fit."
        )


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

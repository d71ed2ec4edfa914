"""Decides whether a layer runs in the compiled kernel, and runs it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, NoReturn, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from throughtime.cells import AnyCell, HiddenState, LSTMState, State
from throughtime.errors import ShapeError
from throughtime.native.functions import Layer, LayerForward, with_states
from throughtime.native.kernels import (
    Call,
    Kernel,
    KernelCell,
    forward,
    forward_wave,
    kernel_of,
)
from throughtime.native.operators import run_operator
from throughtime.sequences import WHOLE, Rows

Unroll = Callable[[Sequence[AnyCell], Tensor, State, Rows], tuple[Tensor, Any]]


def refusal(cells: Sequence[AnyCell], x: Tensor, rows: Rows = WHOLE) -> str | None:
    """Why a layer takes the plain loop, or None when it runs in the compiled kernel.

    Args:
        cells: the cells of the layer's directions, as `Recurrent.cells()` gives them per layer.
        x: its input.
        rows: which steps the rows have, and where they begin afresh.
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
    if rows is not WHOLE and rows.is_batched():
        return "vmap over lengths or resets is taken through the loop"
    return None


def run_layer(
    unroll: Unroll,
    cells: Sequence[AnyCell],
    x: Tensor,
    state: State | None = None,
    rows: Rows = WHOLE,
) -> tuple[Tensor, State]:
    """Runs one layer in the compiled kernel, with the numbers of `unroll`.

    Args:
        unroll: the plain loop over the layer's directions, which defines the result and gives
            the derivatives that the kernel does not have.
        cells: one cell, or two for a bidirectional layer; `refusal` must be None for them.
        x: inputs, [T, B, I], or packed [N, I].
        state: initial states, fields [D, B, H]; None for zeros.
        rows: which steps the rows have, and where they begin afresh.

    Returns:
        y: [T, B, D*H] or [N, D*H].
        state: final states, fields [D, B, H].

    Raises:
        ShapeError: a weight or state does not fit the others; a kernel reads what lies behind a
            pointer, so that nothing may pass here that torch's own operators would refuse.
    """
    job = prepare(cells, x, state, rows)
    call, row = job.call, job.row
    traced = is_traced(job.tensors)
    is_transformed = torch._C._are_functorch_transforms_active()
    if not (traced or is_transformed or is_recorded(job.tensors)):
        results, _ = forward(call, x, state, job.weights, training=False)
    elif traced:
        results = run_operator(call, with_states(call, row))
    elif is_transformed:
        results = LayerForward.apply(  # type: ignore[no-untyped-call]  # torch's own
            Layer(call, job.loop_of(unroll)), *with_states(call, row)
        )
    else:
        results = LayerForward.apply_eagerly(Layer(call, job.loop_of(unroll)), *row)
    return results[0], job.state_type(*results[1 : 1 + call.kernel.num_states])


class Job(NamedTuple):
    """A call whose tensors fit each other."""

    call: Call
    cells: Sequence[KernelCell]
    state_type: type[State]
    weights: tuple[Tensor, ...]
    row: tuple[Tensor | None, ...]  # x, states or None, weights
    tensors: tuple[Tensor, ...]  # the row without what is not there

    def loop_of(self, unroll: Unroll) -> Callable[..., tuple[Tensor, ...]]:
        """The plain loop as a function of the row."""
        return partial(_loop, unroll, self.cells, self.state_type, self.call.rows)


def prepare(cells: Sequence[AnyCell], x: Tensor, state: State | None, rows: Rows) -> Job:
    """Checks what a kernel will read through pointers; see `run_layer`."""
    kernel = kernel_of(cells[0])
    assert kernel is not None
    known = cast(Sequence[KernelCell], cells)
    weights = _weights(known, kernel, x.shape[-1], x)
    if state is not None:
        _check_states(state, len(cells), weights[1].shape[1], x)
    tensors = (x, *weights) if state is None else (x, *state, *weights)
    row = tensors if state is not None else (x, *[None] * kernel.num_states, *weights)
    state_type = LSTMState if kernel.has_cell_state else HiddenState
    return Job(Call(kernel, len(cells), rows), known, state_type, weights, row, tensors)


def run_wave(
    layers: Sequence[Sequence[AnyCell]],
    x: Tensor,
    states: Sequence[State | None],
    rows: Rows = WHOLE,
) -> list[tuple[Tensor, State]] | None:
    """Runs layers of one direction on top of each other at the same time, for inference.

    Args:
        layers: of each layer its one cell; `refusal` must be None for the first.
        x: inputs of the first layer, [T, B, I], or packed [N, I].
        states: of each layer its initial state, fields [1, B, H]; None for zeros.
        rows: which steps the rows have, and where they begin afresh.

    Returns:
        What `run_layer` gives for each layer; None where derivatives may be asked for, cells
        differ, or one layer after the other is faster.

    Raises:
        ShapeError: as of `run_layer`.
    """
    cells = cast(Sequence[KernelCell], [cell for layer in layers for cell in layer])
    kernel = kernel_of(cells[0])
    if len(cells) > len(layers) or any(kernel_of(cell) is not kernel for cell in cells):
        return None
    assert kernel is not None
    num_inputs, weights = x.shape[-1], []
    for cell, state in zip(cells, states, strict=True):
        H = cell.weight_hh.shape[-1]
        weights.append(_weights([cell], kernel, num_inputs, x))
        if state is not None:
            _check_states(state, 1, H, x)
        num_inputs = H
    given = [tensor for state in states if state is not None for tensor in state]
    tensors = (x, *given, *(weight for own in weights for weight in own))
    if is_traced(tensors) or torch._C._are_functorch_transforms_active():
        return None
    if is_recorded(tensors):
        return None
    results = forward_wave(Call(kernel, 1, rows), x, states, weights)
    state_type = LSTMState if kernel.has_cell_state else HiddenState
    if results is None:
        return None
    return [(y, state_type(*final)) for y, *final in results]


_KINDS = {Tensor, Parameter}


def is_traced(tensors: Sequence[Tensor]) -> bool:
    """Whether somebody records the operators of a graph or stands in for tensors with memory."""
    return (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or not _KINDS.issuperset(map(type, tensors))
    )


def is_recorded(tensors: Sequence[Tensor]) -> bool:
    """Whether autograd may ask for derivatives."""
    return torch.is_grad_enabled() and any([tensor.requires_grad for tensor in tensors])


def _weights(
    cells: Sequence[KernelCell], kernel: Kernel, num_inputs: int, x: Tensor
) -> tuple[Tensor, ...]:
    """The weights of every direction, each of the shape and kind the kernel reads."""
    H = cells[0].weight_hh.shape[-1]
    rows = kernel.num_gates * H
    shapes = ((rows, num_inputs), (rows, H), (rows,), (rows,))
    dtype, weights = x.dtype, []
    for cell in cells:
        found = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
        for index, weight in enumerate(found):
            if weight is None:
                _check_no_biases(found)
            elif weight.shape != shapes[index] or weight.dtype is not dtype or not weight.is_cpu:
                _explain_misfit(_NAMES[index], weight, shapes[index], x)
            else:
                weights.append(weight)
    return tuple(weights)


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _check_no_biases(weights: Sequence[Tensor | None]) -> None:
    if weights[2] is not None or weights[3] is not None:
        raise ShapeError("bias_ih and bias_hh must both be there or not, got one; add the other.")


def _check_states(state: State, num_directions: int, H: int, x: Tensor) -> None:
    batch = state[0].shape[1] if state[0].dim() == 3 else -1
    shape = (num_directions, batch, H)
    for name, field in zip(state._fields, state, strict=True):
        if field.shape != shape or field.dtype is not x.dtype or not field.is_cpu:
            _explain_misfit(name, field, shape, x)


def _explain_misfit(name: str, tensor: Tensor, shape: tuple[int, ...], x: Tensor) -> NoReturn:
    raise ShapeError(
        f"{name} must be {list(shape)} in {x.dtype} on {x.device} to go with the input, got "
        f"{list(tensor.shape)} in {tensor.dtype} on {tensor.device}; make them fit."
    )


def _loop(
    unroll: Unroll,
    cells: Sequence[KernelCell],
    state_type: type[State],
    rows: Rows,
    x: Tensor,
    *tensors: Tensor,
) -> tuple[Tensor, ...]:
    """The plain loop as a function of every tensor it reads."""
    num_states = len(state_type._fields)
    state, weights = state_type(*tensors[:num_states]), tensors[num_states:]
    kinds = len(weights) // len(cells)
    replaced: list[KernelCell] = []
    for d, cell in enumerate(cells):
        given: dict[str, Any] = dict(zip(_NAMES[:kinds], weights[d * kinds :], strict=False))
        replaced.append(replace(cell, **given))
    y, final = unroll(replaced, x, state, rows)
    return (y, *final)

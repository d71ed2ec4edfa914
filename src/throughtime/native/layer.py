"""Decides whether a layer runs in the compiled kernel, and runs it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import NoneType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from throughtime.cells import AnyCell, HiddenState, LSTMState, State
from throughtime.native.checks import check_states
from throughtime.native.compiled import Kernel
from throughtime.native.functions import Layer, LayerForward, with_states
from throughtime.native.kernels import forward, forward_wave
from throughtime.native.layout import Row
from throughtime.native.operators import run_operator
from throughtime.native.steady import Steady, call_of, refusal_of
from throughtime.native.trace import Trace
from throughtime.native.twins import (
    Call,
    has_batched_noise,
    has_one_noise,
    inner_of,
    kernel_of,
    with_weights,
)
from throughtime.sequences import WHOLE, Rows

Unroll = Callable[[Sequence[AnyCell], Tensor, State, Rows], tuple[Tensor, Any]]


def refusal(cells: Sequence[AnyCell], x: Tensor, rows: Rows = WHOLE) -> str | None:
    """Why a layer takes the plain loop, or None when it runs in the compiled kernel.

    Args:
        cells: the cells of the layer's directions, as `Recurrent.cells()` gives them per layer.
        x: its input.
        rows: which steps the rows have, and where they begin afresh.
    """
    reason = cells.refusal if isinstance(cells, Steady) else refusal_of(cells)
    if reason is not None:
        return reason
    if not x.is_cpu:
        return f"kernels run on the CPU, the input is on {x.device}"
    if x.dtype not in _DTYPES:
        return f"kernels compute in float32 and float64, the input is {x.dtype}"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are taken through the loop"
    if torch._C._are_functorch_transforms_active():
        if rows.is_batched():
            return "vmap over lengths or resets is taken through the loop"
        if has_batched_noise(cells):
            return "vmap that draws for every example is taken through the loop"
    return None


_DTYPES = (torch.float32, torch.float64)


def run_layer(
    unroll: Unroll,
    cells: Sequence[AnyCell],
    x: Tensor,
    state: State | None = None,
    rows: Rows = WHOLE,
    trace: Trace | None = None,
) -> tuple[Tensor, State]:
    """Runs one layer in the compiled kernel, with the numbers of `unroll`.

    Args:
        unroll: the plain loop over the layer's directions, which defines the result and gives
            the derivatives that the kernel does not have.
        cells: one cell, or two for a bidirectional layer; `refusal` must be None for them.
        x: inputs, [T, B, I], or packed [N, I].
        state: initial states, fields [D, B, H]; None for zeros.
        rows: which steps the rows have, and where they begin afresh.
        trace: where every step's numbers are left, unless operators are recorded or transformed.

    Returns:
        y: [T, B, D*H] or [N, D*H].
        state: final states, fields [D, B, H].

    Raises:
        ShapeError: a weight or state does not fit the others; a kernel reads what lies behind a
            pointer, so that nothing may pass here that torch's own operators would refuse.
    """
    call, row = prepare(cells, x, state, rows)
    if is_traced(row):
        row = with_states(call, row)
        loop = loop_of(unroll, cells, call)
        results = run_operator(call, row) if call.is_plain else loop(*row)
    elif torch._C._are_functorch_transforms_active():
        layer = Layer(call, loop_of(unroll, cells, call))
        results = LayerForward.apply(  # type: ignore[no-untyped-call]  # torch's own
            layer, *with_states(call, row)
        )
    elif is_recorded(row):
        layer = Layer(call, loop_of(unroll, cells, call), trace=trace)
        results = LayerForward.apply_eagerly(layer, *row)
    elif trace is None:
        results, _ = forward(call, row, training=False)
    else:
        results, saved = forward(call, row, training=True)
        trace.see(call, results[0], saved)
    kernel = call.kernel
    return results[0], state_of(kernel, results[1 : 1 + kernel.num_states])


def prepare(
    cells: Sequence[AnyCell], x: Tensor, state: State | None, rows: Rows
) -> tuple[Call, Row]:
    """What the call is about, and its tensors, which a kernel will read through pointers.

    Raises:
        ShapeError: as of `run_layer`.
    """
    call, weights = cells.call(x, rows) if isinstance(cells, Steady) else call_of(cells, x, rows)
    if state is None:
        return call, (x, *_NO_STATES[: call.kernel.num_states], *weights)
    check_states(state, call, weights[1], x)
    return call, (x, *state, *weights)


_NO_STATES = (None, None)


def state_of(kernel: Kernel, fields: Sequence[Tensor]) -> State:
    """The fields as a state of its cell."""
    return LSTMState(*fields) if kernel.has_cell_state else HiddenState(*fields)


def loop_of(
    unroll: Callable[..., Any], cells: Sequence[AnyCell], call: Call
) -> Callable[..., tuple[Tensor, ...]]:
    """The plain loop as a function of the row."""
    return partial(_loop, unroll, cells, call)


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
    cells = [cell for layer in layers for cell in layer]
    kernel = kernel_of(cells[0])
    if len(cells) > len(layers) or any(kernel_of(cell) is not kernel for cell in cells):
        return None
    if not has_one_noise(cells):
        return None
    calls, own, below = [], [], x
    for layer, state in zip(layers, states, strict=True):
        call, row = prepare(layer, below, state, rows)
        calls.append(call)
        own.append(row)
        outputs = inner_of(layer[0]).weight_hh.shape[1]
        below = x.new_empty(1).expand(*x.shape[:-1], outputs)
    call = calls[0]
    is_drawn = call.noise.mask is not None or call.noise.keeps != (None, None)
    if is_drawn or any(other.kinds != call.kinds for other in calls):
        return None
    tensors = [tensor for row in own for tensor in row]
    if is_traced(tensors) or torch._C._are_functorch_transforms_active() or is_recorded(tensors):
        return None
    results = forward_wave(call, own)
    if results is None:
        return None
    return [(y, state_of(call.kernel, final)) for y, *final in results]


_KINDS = {Tensor, Parameter, NoneType}


def is_traced(row: Sequence[Tensor | None]) -> bool:
    """Whether somebody records the operators of a graph or stands in for tensors with memory."""
    return (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or not _KINDS.issuperset(map(type, row))
    )


def is_recorded(row: Sequence[Tensor | None]) -> bool:
    """Whether autograd may ask for derivatives."""
    if torch.is_grad_enabled():
        for tensor in row:  # a loop: `any` over a generator takes longer than all it asks
            if tensor is not None and tensor.requires_grad:
                return True
    return False


def _loop(
    unroll: Unroll, cells: Sequence[AnyCell], call: Call, x: Tensor, *tensors: Tensor
) -> tuple[Tensor, ...]:
    """The plain loop as a function of every tensor it reads."""
    kernel, kinds = call.kernel, call.kinds
    state = state_of(kernel, tensors[: kernel.num_states])
    weights = tensors[kernel.num_states :]
    replaced = [
        with_weights(cell, dict(zip(kinds, weights[d * len(kinds) :], strict=False)))
        for d, cell in enumerate(cells)
    ]
    y, final = unroll(replaced, x, state, call.rows)
    return (y, *final)

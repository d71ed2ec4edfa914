"""Decides whether a layer runs in the compiled kernel, and runs it there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import NoneType
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from throughtime.cells import AnyCell, HiddenState, LSTMState, State
from throughtime.errors import ShapeError
from throughtime.native.compiled import Kernel
from throughtime.native.functions import Layer, LayerForward, with_states
from throughtime.native.kernels import forward, forward_wave
from throughtime.native.layout import Row, sizes_of
from throughtime.native.operators import run_operator
from throughtime.native.trace import Trace
from throughtime.native.twins import (
    WEIGHTS,
    Call,
    has_batched_noise,
    has_one_noise,
    inner_of,
    kernel_of,
    noise_of,
    weights_of,
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
    kernel = kernel_of(cells[0])
    if kernel is None:
        return "this cell has no kernel"
    if len(cells) > 1:
        if any(kernel_of(cell) is not kernel for cell in cells):
            return "the two directions have cells of different kinds"
        if not has_one_noise(cells):
            return "the two directions draw, or keep, in different shares"
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
    kernel = kernel_of(cells[0])
    assert kernel is not None
    kinds, weights = _weights(cells, kernel, x, rows)
    call = Call(kernel, len(cells), rows, kinds, noise_of(cells))
    if state is None:
        return call, (x, *_NO_STATES[: kernel.num_states], *weights)
    _check_states(state, call, weights[1], x)
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


def _weights(
    cells: Sequence[AnyCell], kernel: Kernel, x: Tensor, rows: Rows
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Their kinds, and the weights of every direction, each as the kernel reads it."""
    found = [weights_of(cell, rows) for cell in cells]
    kinds, dtype, weights = tuple(found[0]), x.dtype, []
    shapes = _shapes(kinds, found[0]["weight_hh"].shape, kernel.num_gates, x.shape[-1])
    for own in found:
        if own.keys() != found[0].keys():
            _refuse_kinds(kinds, own)
        for (kind, weight), shape in zip(own.items(), shapes, strict=True):
            if weight.shape != shape or weight.dtype is not dtype or not weight.is_cpu:
                _explain_misfit(kind, weight, shape, x)
            weights.append(weight)
    return kinds, weights


def _shapes(
    kinds: tuple[str, ...], weight_hh: Sequence[int], num_gates: int, num_inputs: int
) -> Sequence[tuple[int, ...]]:
    """What the shape of each kind of weight must be beside W_hh."""
    total, outputs = weight_hh if len(weight_hh) == 2 else (0, 0)
    H = total // num_gates
    if kinds == WEIGHTS[:4]:  # in most calls
        return (total, num_inputs), (num_gates * H, H), (total,), (total,)
    _check_pairs(kinds)
    shapes = {
        "weight_ih": (total, num_inputs),
        "weight_hh": (num_gates * H, outputs if "weight_hr" in kinds else H),
        "peepholes": ((num_gates - 1) * H,),
        "weight_hr": (outputs, H),
        "h_0": (outputs,),
        "c_0": (H,),
    }
    return [shapes.get(kind, (total,)) for kind in kinds]


def _check_pairs(kinds: tuple[str, ...]) -> None:
    for first, second in (("bias_ih", "bias_hh"), ("norm_ih", "norm_hh")):
        if (first in kinds) != (second in kinds):
            raise ShapeError(
                f"{first} and {second} must both be there or not, got one; add the other."
            )


def _refuse_kinds(kinds: Sequence[str], other: Iterable[str]) -> NoReturn:
    raise ShapeError(
        f"both directions must have the same weights, got {', '.join(kinds)} and "
        f"{', '.join(other)}; make them alike."
    )


def _check_states(state: State, call: Call, weight_hh: Tensor, x: Tensor) -> None:
    lead = call.num_directions, call.rows.batch(x)
    for name, field, size in zip(
        state._fields, state, sizes_of(call.kernel, weight_hh), strict=False
    ):
        shape = (*lead, size)
        if field.shape != shape or field.dtype is not x.dtype or not field.is_cpu:
            _explain_misfit(name, field, shape, x)


def _explain_misfit(name: str, tensor: Tensor, shape: tuple[int, ...], x: Tensor) -> NoReturn:
    raise ShapeError(
        f"{name} must be {list(shape)} in {x.dtype} on {x.device} to go with the input, got "
        f"{list(tensor.shape)} in {tensor.dtype} on {tensor.device}; make them fit."
    )


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

"""Decides whether a layer runs in the compiled kernel, and runs it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from throughtime.cells import AnyCell, HiddenState, LSTMState, State
from throughtime.errors import ShapeError
from throughtime.native.compiled import Kernel
from throughtime.native.functions import Layer, LayerForward, with_states
from throughtime.native.kernels import forward, forward_wave
from throughtime.native.operators import run_operator
from throughtime.native.twins import (
    WEIGHTS,
    Call,
    KernelCell,
    has_batched_noise,
    has_one_noise,
    inner_of,
    kernel_of,
    kinds_of,
    noise_of,
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
    if kernel_of(cells[0]) is None:
        return "this cell has no kernel"
    if any(kernel_of(cell) is not kernel_of(cells[0]) for cell in cells[1:]):
        return "the two directions have cells of different kinds"
    if len(cells) > 1 and not has_one_noise(cells):
        return "the two directions draw, or keep, in different shares"
    if x.device.type != "cpu":
        return f"kernels run on the CPU, the input is on {x.device}"
    if x.dtype not in (torch.float32, torch.float64):
        return f"kernels compute in float32 and float64, the input is {x.dtype}"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are taken through the loop"
    if rows is not WHOLE and rows.is_batched():
        return "vmap over lengths or resets is taken through the loop"
    if has_batched_noise(cells):
        return "vmap that draws for every example is taken through the loop"
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
        row = with_states(call, row)
        results = run_operator(call, row) if call.is_plain else job.loop_of(unroll)(*row)
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
    cells: Sequence[AnyCell]
    state_type: type[State]
    weights: tuple[Tensor, ...]
    row: tuple[Tensor | None, ...]  # x, states or None, weights
    tensors: tuple[Tensor, ...]  # the row without what is not there

    def loop_of(self, unroll: Unroll) -> Callable[..., tuple[Tensor, ...]]:
        """The plain loop as a function of the row."""
        return partial(_loop, unroll, self.cells, self.state_type, self.call)


def prepare(cells: Sequence[AnyCell], x: Tensor, state: State | None, rows: Rows) -> Job:
    """Checks what a kernel will read through pointers; see `run_layer`."""
    kernel = kernel_of(cells[0])
    assert kernel is not None
    inner = [inner_of(cell) for cell in cells]
    kinds, weights = _weights(inner, kernel, x, rows)
    call = Call(kernel, len(cells), rows, kinds, noise_of(cells))
    state_type = LSTMState if kernel.has_cell_state else HiddenState
    if state is not None:
        _check_states(state, len(cells), kernel, weights[1], x)
    tensors = (x, *weights) if state is None else (x, *state, *weights)
    row = tensors if state is not None else (x, *[None] * kernel.num_states, *weights)
    return Job(call, cells, state_type, weights, row, tensors)


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
    kernel, noise = kernel_of(cells[0]), noise_of(cells[:1])
    if len(cells) > len(layers) or any(kernel_of(cell) is not kernel for cell in cells):
        return None
    assert kernel is not None
    if not has_one_noise(cells):
        return None
    below, kinds, weights = x, set(), []
    for cell, state in zip(cells, states, strict=True):
        own, found = _weights([inner_of(cell)], kernel, below, rows)
        kinds.add(own)
        weights.append(found)
        if state is not None:
            _check_states(state, 1, kernel, found[1], x)
        below = x.new_empty(0, found[1].shape[1])
    if len(kinds) > 1 or noise.mask is not None or noise.keeps != (None, None):
        return None
    given = [tensor for state in states if state is not None for tensor in state]
    tensors = (x, *given, *(weight for own in weights for weight in own))
    if is_traced(tensors) or torch._C._are_functorch_transforms_active():
        return None
    if is_recorded(tensors):
        return None
    results = forward_wave(Call(kernel, 1, rows, kinds.pop(), noise), x, states, weights)
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
    cells: Sequence[KernelCell], kernel: Kernel, x: Tensor, rows: Rows
) -> tuple[tuple[str, ...], tuple[Tensor, ...]]:
    """Their kinds, and the weights of every direction, each as the kernel reads it."""
    kinds, shape = kinds_of(cells[0], rows), cells[0].weight_hh.shape
    shapes = _shapes(kinds, shape, kernel.num_gates, x.shape[-1])
    _check_kinds(kinds, [kinds_of(cell, rows) for cell in cells[1:]])
    dtype, weights = x.dtype, []
    for cell in cells:
        for kind, expected in zip(kinds, shapes, strict=True):
            weight = getattr(cell, kind)
            if weight.shape != expected or weight.dtype is not dtype or not weight.is_cpu:
                _explain_misfit(kind, weight, expected, x)
            weights.append(weight)
    return kinds, tuple(weights)


def _shapes(
    kinds: tuple[str, ...], weight_hh: Sequence[int], num_gates: int, num_inputs: int
) -> Sequence[tuple[int, ...]]:
    """What the shape of each kind of weight must be beside W_hh."""
    total, outputs = weight_hh if len(weight_hh) == 2 else (0, 0)
    H = total // num_gates
    if len(kinds) <= 4 and kinds == WEIGHTS[: len(kinds)]:  # in most calls
        return ((total, num_inputs), (num_gates * H, H), (total,), (total,))[: len(kinds)]
    shapes = {
        "weight_ih": (total, num_inputs),
        "weight_hh": (num_gates * H, outputs if "weight_hr" in kinds else H),
        "peepholes": ((num_gates - 1) * H,),
        "weight_hr": (outputs, H),
        "h_0": (outputs,),
        "c_0": (H,),
    }
    return [shapes.get(kind, (total,)) for kind in kinds]


_PAIRS = (("bias_ih", "bias_hh"), ("norm_ih", "norm_hh"))


def _check_kinds(kinds: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> None:
    for first, second in _PAIRS:
        if (first in kinds) != (second in kinds):
            raise ShapeError(
                f"{first} and {second} must both be there or not, got one; add the other."
            )
    for other in others:
        if other != kinds:
            raise ShapeError(
                f"both directions must have the same weights, got {', '.join(kinds)} and "
                f"{', '.join(other)}; make them alike."
            )


def _check_states(
    state: State, num_directions: int, kernel: Kernel, weight_hh: Tensor, x: Tensor
) -> None:
    rows, outputs = weight_hh.shape
    batch = state[0].shape[1] if state[0].dim() == 3 else -1
    sizes = (outputs, rows // kernel.num_gates)
    for name, field, size in zip(state._fields, state, sizes, strict=False):
        shape = (num_directions, batch, size)
        if field.shape != shape or field.dtype is not x.dtype or not field.is_cpu:
            _explain_misfit(name, field, shape, x)


def _explain_misfit(name: str, tensor: Tensor, shape: tuple[int, ...], x: Tensor) -> NoReturn:
    raise ShapeError(
        f"{name} must be {list(shape)} in {x.dtype} on {x.device} to go with the input, got "
        f"{list(tensor.shape)} in {tensor.dtype} on {tensor.device}; make them fit."
    )


def _loop(
    unroll: Unroll,
    cells: Sequence[AnyCell],
    state_type: type[State],
    call: Call,
    x: Tensor,
    *tensors: Tensor,
) -> tuple[Tensor, ...]:
    """The plain loop as a function of every tensor it reads."""
    num_states, kinds = len(state_type._fields), call.kinds
    state, weights = state_type(*tensors[:num_states]), tensors[num_states:]
    replaced = [
        with_weights(cell, dict(zip(kinds, weights[d * len(kinds) :], strict=False)))
        for d, cell in enumerate(cells)
    ]
    y, final = unroll(replaced, x, state, call.rows)
    return (y, *final)

"""Calls the compiled kernels on torch's buffers: shapes in, pointers across, tensors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.cells import GRU, LSTM, AnyCell, Elman
from throughtime.native import _kernels
from throughtime.native.packed import packed_layer
from throughtime.sequences import WHOLE, Rows

Tensors = tuple[Tensor, ...]

NUM_WEIGHTS = 5
"""Weights of one direction that a kernel takes: of both products, two biases, peepholes."""


@dataclass(frozen=True)
class Kernel:
    """What a compiled cell needs to know of its buffers."""

    name: str
    num_gates: int  # G: blocks of rows of the weights
    num_values: int  # S: values per unit and step that the backward pass reads
    has_cell_state: bool = False

    @property
    def num_states(self) -> int:
        """Initial (and final) states: h, and c of an LSTM."""
        return 1 + self.has_cell_state

    @property
    def num_saved_tensors(self) -> int:
        """Tensors kept for the backward pass beside y: gates, and c of an LSTM."""
        return (self.num_values > 0) + self.has_cell_state


_ELMAN = {"tanh": Kernel("elman_tanh", 1, 0), "relu": Kernel("elman_relu", 1, 0)}
_LSTM = Kernel("lstm", 4, 4, has_cell_state=True)
_GRU = Kernel("gru", 3, 4)


KernelCell = Elman | LSTM | GRU
"""The cells that have a compiled twin."""


def kernel_of(cell: AnyCell) -> Kernel | None:
    """The compiled twin of a cell, or None for a cell that has none."""
    if not isinstance(cell, Elman | LSTM | GRU) or cell.norm_ih is not None:
        return None
    if cell.mask is not None or cell.h_0 is not None:
        return None
    if type(cell) is LSTM:
        is_plain = cell.weight_hr is None and cell.peepholes is None and not cell.is_coupled
        return _LSTM if is_plain else None
    if type(cell) is GRU:
        return _GRU if cell.reset_after else None
    if type(cell) is Elman and isinstance(cell.nonlinearity, str):
        return _ELMAN.get(cell.nonlinearity)
    return None


def kernel_named(name: str) -> Kernel:
    """The kernel of that name, as it travels through a registered operator."""
    return {kernel.name: kernel for kernel in (*_ELMAN.values(), _LSTM, _GRU)}[name]


class Call(NamedTuple):
    """What a call is about beside its tensors."""

    kernel: Kernel
    num_directions: int  # D
    rows: Rows  # which steps the rows have, and where they begin afresh


def forward(
    call: Call, x: Tensor, states: Tensors | None, weights: Sequence[Tensor], training: bool
) -> tuple[Tensors, Tensors]:
    """Runs a kernel over a whole sequence.

    Args:
        call: which kernel, directions and rows.
        x: inputs, [T, B, I] or packed [N, I].
        states: h0 [D, B, H], and c0 of an LSTM; None for zeros.
        weights: of each direction weight_ih, weight_hh and, with biases, bias_ih, bias_hh.
        training: keep what the backward pass reads.

    Returns:
        results: y [T, B, D*H] or [N, D*H], and the final states [D, B, H].
        saved: nothing without `training`; else the gates [N, D, S, H] after their activation
            (an Elman cell has none, a GRU adds W_hn h + b_hn), then c [N, D, H] of an LSTM.
    """
    run = _prepare(call, x, states, weights, training)
    run.layer.forward(run.weights, _addresses(run.tensors), run.sequence, run.threads)
    return run.results, run.saved


def forward_wave(
    call: Call, x: Tensor, states: Sequence[Tensors | None], weights: Sequence[Sequence[Tensor]]
) -> list[Tensors] | None:
    """Runs layers on top of each other at the same time, for inference.

    Args:
        call: kernel and rows of every layer; one direction.
        x: inputs of the first layer, [T, B, I] or packed [N, I].
        states: of each layer, as in `forward`.
        weights: of each layer, as in `forward`.

    Returns:
        The results of each layer, as of `forward`; None where one after the other is faster.
    """
    threads = _kernels.choose_wave_threads(
        call.kernel.name,
        call.rows.num_steps(x),
        call.rows.batch(x),
        weights[0][1].shape[1],
        len(weights),
        torch.get_num_threads(),
    )
    if threads == 1:
        return None
    runs: list[_Run] = []
    for state, own in zip(states, weights, strict=True):
        below = runs[-1].results[0] if runs else x
        runs.append(_prepare(call, below, state, own, training=False))
    _kernels.forward_wave(
        [run.layer for run in runs],
        [run.weights for run in runs],
        [_addresses(run.tensors) for run in runs],
        *(runs[0].sequence, threads),
    )
    return [run.results for run in runs]


class _Run(NamedTuple):
    """A forward run that has all it needs; what its addresses name lives as long as it."""

    results: Tensors
    saved: Tensors
    tensors: tuple[Tensor | None, ...]  # in the order of the kernel
    layer: _kernels.Layer
    weights: list[int]
    sequence: _kernels.Sequence
    threads: int
    kept: Sequence[Tensor]


def _prepare(
    call: Call, x: Tensor, states: Tensors | None, weights: Sequence[Tensor], training: bool
) -> _Run:
    kernel, D, rows = call
    lead, B, H, new = x.shape[:-1], rows.batch(x), weights[1].shape[1], x.new_empty
    by_step = new if rows.lengths is None else x.new_zeros  # the kernel leaves padding alone
    y = by_step(*lead, D * H)
    finals = [new(D, B, H) for _ in range(kernel.num_states)]
    gates = c = None
    if training:
        places = math.prod(lead)
        gates = by_step(places, D, kernel.num_values, H) if kernel.num_values else None
        c = by_step(places, D, H) if kernel.has_cell_state else None
    x, *weights = dense((x, *weights))
    starts = dense(states) if states else ()
    tensors = (y, *_pair(finals), c, gates, x, *_pair(starts), *[None] * 4)
    saved = tuple([kept for kept in (gates, c) if kept is not None])
    return _Run((y, *finals), saved, tensors, *_crossing(call, x, B, weights), weights)


def backward(
    call: Call,
    grads: Sequence[Tensor | None],
    x: Tensor,
    states: Tensors | None,
    weights: Sequence[Tensor],
    y: Tensor,
    saved: Sequence[Tensor],
    wants_dx: bool,
    sums: GradientSums | None = None,
) -> tuple[Tensor | None, ...]:
    """Runs a kernel back through time.

        dL/dW_ih = sum_t dz_t^T x_t,   dL/dW_hh = sum_t da_t^T h_{t-1},   dL/dx_t = dz_t W_ih

    Args:
        call: as in `forward`.
        grads: dL/dy, dL/dh_n, of an LSTM dL/dc_n and maybe dL/dc of all steps; None for zeros.
        x: as in `forward`, as are states and weights.
        states: see x.
        weights: see x.
        y: what `forward` gave, as is `saved`.
        saved: see y.
        wants_dx: whether dL/dx is to be computed.
        sums: where the gradients of the weights are added up with those of other calls.

    Returns:
        The gradients of x (empty unless wanted), the states (None where they were None) and the
        weights (nothing with `sums`), in this order.
    """
    kernel, D, rows = call
    x, y, *weights = dense((x, y, *weights))
    starts = dense(states) if states else ()
    given = [None if grad is None else dense((grad,))[0] for grad in grads]
    gates, c = _gates_and_c(kernel, dense(saved))
    new = x.new_empty if rows.lengths is None else x.new_zeros
    dx = new(D, *x.shape) if wants_dx else None
    dstates = [torch.empty_like(state) for state in starts]
    dweights = [] if sums is not None else [torch.empty_like(weight) for weight in weights]
    outputs = (dx, *_pair(dstates), None, None)
    dc = given.pop() if len(given) > 1 + kernel.num_states else None
    read = (given[0], dc, *_pair(given[1:]), x, y, c, gates, *_pair(starts), *[None] * 4)
    layer, addresses, sequence, threads = _crossing(call, x, rows.batch(x), weights)
    gradients = _addresses(_by_direction(dweights, D) if dweights else [None] * NUM_WEIGHTS * D)
    tensors = _addresses(outputs + read)
    if sums is None:
        layer.backward(addresses, gradients, tensors, sequence, threads)
    else:
        adds = sums.numbers is not None
        if sums.numbers is None:
            sums.numbers = x.new_empty(layer.num_sums(rows.batch(x)))
        kept = sums.numbers.data_ptr()
        layer.backward(addresses, gradients, tensors, sequence, threads, kept, adds)
    total = x.new_empty(0) if dx is None else dx[0] if D == 1 else dx[0] + dx[1]
    return (total, *(dstates if states else [None] * kernel.num_states), *dweights)


@dataclass
class GradientSums:
    """What several backward calls over one layer and one number of rows add up."""

    call: Call
    weights: Sequence[Tensor]
    batch: int
    numbers: Tensor | None = None  # in the kernel's order, once a call has added to it

    def gradients(self) -> list[Tensor]:
        """The sums as gradients of the weights."""
        kernel, D, _ = self.call
        weights = dense(self.weights)
        x = weights[0].new_empty(0, self.batch, weights[0].shape[1])
        dweights = [torch.empty_like(weight) for weight in weights]
        call = Call(kernel, D, WHOLE)
        layer, addresses, sequence, threads = _crossing(call, x, self.batch, weights)
        gradients = _addresses(_by_direction(dweights, D))
        (kept,) = _addresses([self.numbers])
        layer.backward(addresses, gradients, [0] * 19, sequence, threads, kept, True)
        return dweights


def dense(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """The same numbers as they must lie behind pointers: in order, no sign left to apply."""
    for tensor in tensors:
        if not tensor.is_contiguous() or tensor.is_neg():
            return [tensor.contiguous().resolve_neg() for tensor in tensors]
    return tensors


def _crossing(
    call: Call, x: Tensor, B: int, weights: Sequence[Tensor]
) -> tuple[_kernels.Layer, list[int], _kernels.Sequence, int]:
    """What either pass needs of the other side: layer, addresses of weights, rows, threads."""
    kernel, D, rows = call
    name = kernel.name
    H, shape = weights[1].shape[1], x.shape
    T, tables = shape[0], _NO_TABLES
    if rows is not WHOLE:
        T, tables = rows.num_steps(x), _addresses(rows)
    return (
        packed_layer(weights[1], (name, x.dtype, D, shape[-1], H)),
        _addresses(_by_direction(weights, D)),
        _kernels.Sequence(T, B, False, *tables),
        _kernels.choose_threads(name, T, B, D, H, torch.get_num_threads()),
    )


_NO_TABLES = [0] * len(WHOLE)


def _pair(states: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """H and c, None for what is not there."""
    return (*states, None, None)[:2]  # type: ignore[return-value]  # mypy counts no slices


def _gates_and_c(kernel: Kernel, saved: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """What `forward` saved, None for what the cell does not have."""
    gates, c = saved[: kernel.num_values > 0], saved[kernel.num_values > 0 :]
    return _pair(gates)[0], _pair(c)[0]


def _by_direction(weights: Sequence[Tensor], D: int) -> Sequence[Tensor | None]:
    """All weights of each direction in the order of the kernel, None for absent ones."""
    kinds = len(weights) // D
    absent = [None] * (NUM_WEIGHTS - kinds)
    return [w for d in range(D) for w in (*weights[d * kinds : (d + 1) * kinds], *absent)]


def _addresses(tensors: Sequence[Tensor | None]) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]

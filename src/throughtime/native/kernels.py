"""Calls the compiled kernels on torch's buffers: shapes in, pointers across, tensors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.native import _kernels
from throughtime.native.adjoints import NO_ADJOINTS, Adjoints
from throughtime.native.layout import (
    NO_WEIGHTS,
    addresses_of,
    by_direction,
    dense,
    dense_noise,
    fresh_states,
    hand_out_fresh,
    pair,
    parts_saved,
    sizes_of,
)
from throughtime.native.packed import packed_layer
from throughtime.native.twins import Call
from throughtime.sequences import WHOLE

Tensors = tuple[Tensor, ...]


def forward(
    call: Call, x: Tensor, states: Tensors | None, weights: Sequence[Tensor], training: bool
) -> tuple[Tensors, Tensors]:
    """Runs a kernel over a whole sequence.

    Args:
        call: which kernel, directions and rows.
        x: inputs, [T, B, I] or packed [N, I].
        states: h0 [D, B, H], and c0 of an LSTM; None for zeros.
        weights: of each direction those of `call.kinds`, in that order.
        training: keep what the backward pass reads.

    Returns:
        results: y [T, B, D*H] or [N, D*H], and the final states [D, B, H].
        saved: nothing without `training`; else the gates [N, D, S, H] after their activation
            (of an Elman cell nothing, or its pre-activation; a GRU adds W_hn h + b_hn), then
            c [N, D, H] of an LSTM, then of LayerNorm both products as they were normalised,
            [N, D, 2, G, H], and what they were multiplied by, [N, D, 2].
    """
    run = _prepare(call, x, states, weights, training)
    run.layer.forward(
        run.weights, addresses_of(run.tensors), run.sequence, run.threads, *call.noise.shares
    )
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
        weights[0][1].shape[0] // call.kernel.num_gates,
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
        [addresses_of(run.tensors) for run in runs],
        *(runs[0].sequence, threads),
        *call.noise.shares,
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
    kernel, D, rows, _, noise = call
    lead, B, new = x.shape[:-1], rows.batch(x), x.new_empty
    H, P = sizes_of(kernel, weights)
    by_step = new if rows.lengths is None else x.new_zeros  # the kernel leaves padding alone
    y = by_step(*lead, D * P)
    finals = [new(D, B, size) for size in (P, H)[: kernel.num_states]]
    gates = c = normalised = scales = None
    if training:
        places = math.prod(lead)
        gates = by_step(places, D, kernel.num_values, H) if kernel.num_values else None
        c = by_step(places, D, H) if kernel.has_cell_state else None
        if call.normalises:
            normalised = by_step(places, D, 2, kernel.num_gates, H)
            scales = by_step(places, D, 2)
    x, *weights = dense((x, *weights))
    starts = dense(states) if states else ()
    constants = dense_noise(noise)
    fresh = fresh_states(call, weights)
    tensors = (y, *pair(finals), c, gates, x, *pair(starts), *fresh, *constants)
    saved = tuple([kept for kept in (gates, c, normalised, scales) if kept is not None])
    kept = (*weights, *[tensor for tensor in (*constants, *fresh) if tensor is not None])
    crossing = _crossing(call, x, B, weights)
    return _Run((y, *finals), saved, (*tensors, normalised, scales), *crossing, kept)


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
    adjoints: Adjoints | None = None,
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
        adjoints: where the adjoints of every step are handed out.

    Returns:
        The gradients of x (empty unless wanted), the states (None where they were None) and the
        weights (nothing with `sums`), in this order.
    """
    kernel, D, rows, _, noise = call
    x, y, *weights = dense((x, y, *weights))
    starts = dense(states) if states else ()
    given = [None if grad is None else dense((grad,))[0] for grad in grads]
    gates, c, normalised, scales = parts_saved(call, dense(saved))
    constants, fresh = dense_noise(noise), fresh_states(call, weights)
    new = x.new_empty if rows.lengths is None else x.new_zeros
    dx = new(D, *x.shape) if wants_dx else None
    dstates = [torch.empty_like(state) for state in starts]
    dfresh = [None if state is None else torch.empty_like(state) for state in fresh]
    dweights = [] if sums is not None else [torch.empty_like(weight) for weight in weights]
    handed = NO_ADJOINTS if adjoints is None else adjoints.renew(call, x, weights)
    outputs = (dx, *pair(dstates), *dfresh, *handed)
    dc = given.pop() if len(given) > 1 + kernel.num_states else None
    read = (given[0], dc, *pair(given[1:]), x, y, c, gates, *pair(starts), *fresh)
    layer, addresses, sequence, threads = _crossing(call, x, rows.batch(x), weights)
    gradients = addresses_of(by_direction(call, dweights)) if dweights else NO_WEIGHTS * D
    tensors = addresses_of((*outputs, *read, *constants, normalised, scales))
    if sums is None:
        layer.backward(addresses, gradients, tensors, sequence, threads, 0, False, *noise.shares)
        hand_out_fresh(call, dfresh, dweights)
    else:
        adds = sums.numbers is not None
        if sums.numbers is None:
            sums.numbers = x.new_empty(layer.num_sums(rows.batch(x), call.normalises))
        kept = sums.numbers.data_ptr()
        layer.backward(addresses, gradients, tensors, sequence, threads, kept, adds, *noise.shares)
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
        call = self.call._replace(rows=WHOLE)
        weights = dense(self.weights)
        x = weights[0].new_empty(0, self.batch, weights[0].shape[1])
        dweights = [torch.empty_like(weight) for weight in weights]
        layer, addresses, sequence, threads = _crossing(call, x, self.batch, weights)
        gradients = addresses_of(by_direction(call, dweights))
        (kept,) = addresses_of([self.numbers])
        layer.backward(addresses, gradients, [0] * 25, sequence, threads, kept, True)
        return dweights


def _crossing(
    call: Call, x: Tensor, B: int, weights: Sequence[Tensor]
) -> tuple[_kernels.Layer, list[int], _kernels.Sequence, int]:
    """What either pass needs of the other side: layer, addresses of weights, rows, threads."""
    kernel, D, rows, *_ = call
    (H, P), shape = sizes_of(kernel, weights), x.shape
    T, tables = shape[0], _NO_TABLES
    if rows is not WHOLE:
        T, tables = rows.num_steps(x), addresses_of(rows)
    sizes = (kernel.name, x.dtype, D, shape[-1], H, kernel.nonlinearity, P)
    return (
        packed_layer(weights[1], sizes),
        addresses_of(by_direction(call, weights)),
        _kernels.Sequence(T, B, False, *tables),
        _kernels.choose_threads(kernel.name, T, B, D, H, torch.get_num_threads()),
    )


_NO_TABLES = [0] * len(WHOLE)

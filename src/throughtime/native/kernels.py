"""Calls the compiled kernels on torch's buffers: shapes in, pointers across, tensors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.native import _kernels
from throughtime.native.layout import (
    Row,
    by_direction,
    dense,
    fresh_states,
    hand_out_fresh,
    pair,
    parts_of,
    parts_saved,
    sizes_of,
)
from throughtime.native.packed import packed_layer
from throughtime.native.trace import NOWHERE, Adjoints
from throughtime.native.twins import Call
from throughtime.sequences import WHOLE

Tensors = tuple[Tensor, ...]


def forward(call: Call, row: Row, training: bool) -> tuple[Tensors, Tensors]:
    """Runs a kernel over a whole sequence.

    Args:
        call: which kernel, directions and rows.
        row: inputs x, [T, B, I] or packed [N, I]; h0 [D, B, H], and c0 of an LSTM, or None for
            zeros; of each direction the weights of `call.kinds`, in that order.
        training: keep what the backward pass reads.

    Returns:
        results: y [T, B, D*H] or [N, D*H], and the final states [D, B, H].
        saved: nothing without `training`; else the gates [N, D, S, H] after their activation
            (of an Elman cell nothing, or its pre-activation; a GRU adds W_hn h + b_hn), then
            c [N, D, H] of an LSTM, then of LayerNorm both products as they were normalised,
            [N, D, 2, G, H], and what they were multiplied by, [N, D, 2].
    """
    results, saved, tensors, crossing, _ = _prepare(call, row, training)
    layer, weights, sequence, threads = crossing
    layer.forward(weights, _kernels.addresses_of(tensors), sequence, threads, *call.noise.shares)
    return results, saved


def forward_wave(call: Call, layers: Sequence[Row]) -> list[Tensors] | None:
    """Runs layers on top of each other at the same time, for inference.

    Args:
        call: kernel and rows of every layer; one direction.
        layers: of each layer its row, as in `forward`; only the first one's x is read.

    Returns:
        The results of each layer, as of `forward`; None where one after the other is faster.
    """
    x, _, weights = parts_of(call, layers[0])
    threads = _kernels.choose_wave_threads(
        call.kernel.name,
        call.rows.num_steps(x),
        call.rows.batch(x),
        sizes_of(call.kernel, weights[1])[1],
        len(layers),
        torch.get_num_threads(),
    )
    if threads == 1:
        return None
    runs: list[_Run] = []
    for _, *others in layers:
        below = runs[-1][0][0] if runs else x
        runs.append(_prepare(call, (below, *others), training=False))
    every, _, tensors, crossings, _ = zip(*runs, strict=True)
    packed, addresses, sequences, _ = zip(*crossings, strict=True)
    _kernels.forward_wave(
        packed,
        addresses,
        [_kernels.addresses_of(own) for own in tensors],
        *(sequences[0], threads),
        *call.noise.shares,
    )
    return list(every)


_Crossing = tuple[_kernels.Layer, list[int], _kernels.Sequence, int]
_Run = tuple[Tensors, Tensors, Row, _Crossing, Sequence[Tensor]]


def _prepare(call: Call, row: Row, training: bool) -> _Run:
    """Results, what is saved, all tensors in the kernel's order, the crossing; and the weights.

    The addresses in the crossing name the weights, which must live as long as it.
    """
    kernel, D, rows, _, noise = call
    x, starts, weights = parts_of(call, row)
    lead, B, new = x.shape[:-1], rows.batch(x), x.new_empty
    P, H = sizes_of(kernel, weights[1])
    by_step = new if rows.lengths is None else x.new_zeros  # the kernel leaves padding alone
    y, h_n = by_step(*lead, D * P), new(D, B, P)
    c_n = new(D, B, H) if kernel.has_cell_state else None
    gates = c = normalised = scales = None
    if training:
        places = math.prod(lead)
        gates = by_step(places, D, kernel.num_values, H) if kernel.num_values else None
        c = by_step(places, D, H) if kernel.has_cell_state else None
        if call.normalises:
            normalised = by_step(places, D, 2, kernel.num_gates, H)
            scales = by_step(places, D, 2)
    fresh = fresh_states(call, weights)
    read = (x, *pair(starts), *fresh, noise.mask, *noise.keeps)
    tensors = (y, h_n, c_n, c, gates, *read, normalised, scales)
    results = (y, h_n) if c_n is None else (y, h_n, c_n)
    saved: Tensors = ()
    if training:
        saved = tuple([kept for kept in (gates, c, normalised, scales) if kept is not None])
    return results, saved, tensors, _crossing(call, x, B, weights), weights


def backward(
    call: Call,
    grads: Sequence[Tensor | None],
    kept: Row,
    wants_dx: bool,
    sums: GradientSums | None = None,
    adjoints: Adjoints | None = None,
) -> tuple[Tensor | None, ...]:
    """Runs a kernel back through time.

        dL/dW_ih = sum_t dz_t^T x_t,   dL/dW_hh = sum_t da_t^T h_{t-1},   dL/dx_t = dz_t W_ih

    Args:
        call: as in `forward`.
        grads: dL/dy, dL/dh_n, of an LSTM dL/dc_n and maybe dL/dc of all steps; None for zeros.
        kept: the row of `forward`, then y and what was saved.
        wants_dx: whether dL/dx is to be computed.
        sums: where the gradients of the weights are added up with those of other calls.
        adjoints: where the derivatives at every step are left.

    Returns:
        The gradients of the row's tensors in its order: x (None unless wanted), the states
        (None where they were None) and the weights (None with `sums`).
    """
    kernel, D, rows, kinds, noise = call
    there, first = dense(kept), 1 + kernel.num_states
    last = first + D * len(kinds)
    x, starts, weights, (y, *saved) = there[0], there[1:first], there[first:last], there[last:]
    dy, *dfinals = dense(grads)
    gates, c, normalised, scales = parts_saved(call, saved)
    fresh = fresh_states(call, weights)
    new, like = x.new_empty if rows.lengths is None else x.new_zeros, torch.empty_like
    dx = new(D, *x.shape) if wants_dx else None
    dstarts = [None if start is None else like(start) for start in starts]
    dfresh = [None if state is None else like(state) for state in fresh]
    dweights = [None if sums is not None else like(weight) for weight in weights]
    dc = dfinals.pop() if len(dfinals) > kernel.num_states else None
    left = NOWHERE if adjoints is None else adjoints.renew(call, dy, x, weights[1])
    written = (dx, *pair(dstarts), *dfresh)
    read = (
        *(dy, dc, *pair(dfinals)),
        *(x, y, c, gates, *pair(starts), *fresh, noise.mask, *noise.keeps, normalised, scales),
    )
    tensors = [*_kernels.addresses_of(written), *left, *_kernels.addresses_of(read)]
    layer, addresses, sequence, threads = _crossing(call, x, rows.batch(x), weights)
    place, adds = 0, False
    if sums is not None:
        place, adds = sums.place(layer.num_sums(rows.batch(x), call.normalises))
    gradients = by_direction(call, _kernels.addresses_of(dweights))
    layer.backward(addresses, gradients, tensors, sequence, threads, place, adds, *noise.shares)
    if sums is None and rows.reset is not None:
        hand_out_fresh(call, dfresh, dweights)
    if dx is not None:
        dx = dx[0] if D == 1 else dx[0] + dx[1]
    return (dx, *dstarts, *dweights)


@dataclass
class GradientSums:
    """What several backward calls over one layer and one number of rows add up."""

    call: Call
    weights: Sequence[Tensor]
    batch: int
    numbers: Tensor | None = None  # in the kernel's order, once a call has added to it

    def place(self, count: int) -> tuple[int, bool]:
        """Where a call adds its so many numbers, and whether there are some of calls before."""
        adds = self.numbers is not None
        if self.numbers is None:
            self.numbers = self.weights[0].new_empty(count)
        return self.numbers.data_ptr(), adds

    def gradients(self) -> list[Tensor]:
        """The sums as gradients of the weights."""
        call = self.call._replace(rows=WHOLE)
        weights = dense(self.weights)
        x = weights[0].new_empty(0, self.batch, weights[0].shape[1])
        dweights = [torch.empty_like(weight) for weight in weights]
        layer, addresses, sequence, threads = _crossing(call, x, self.batch, weights)
        gradients = by_direction(call, _kernels.addresses_of(dweights))
        (kept,) = _kernels.addresses_of([self.numbers])
        layer.backward(addresses, gradients, [0] * 25, sequence, threads, kept, True)
        return dweights


def _crossing(
    call: Call, x: Tensor, B: int, weights: Sequence[Tensor]
) -> tuple[_kernels.Layer, list[int], _kernels.Sequence, int]:
    """What either pass needs of the other side: layer, addresses of weights, rows, threads."""
    kernel, D, rows, *_ = call
    (P, H), shape = sizes_of(kernel, weights[1]), x.shape
    T, tables = shape[0], _NO_TABLES
    if rows is not WHOLE:
        T, tables = rows.num_steps(x), _kernels.addresses_of(rows)
    sizes = (kernel.name, x.dtype, D, shape[-1], H, kernel.nonlinearity, P)
    return (
        packed_layer(weights[1], sizes),
        by_direction(call, _kernels.addresses_of(weights)),
        _kernels.Sequence(T, B, False, *tables),
        _kernels.choose_threads(kernel.name, T, B, D, H, torch.get_num_threads()),
    )


_NO_TABLES = [0] * len(WHOLE)

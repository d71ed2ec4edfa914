"""Calls the compiled kernels on torch's buffers: shapes in, pointers across, tensors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils.weak import WeakIdKeyDictionary

from throughtime.cells import GRU, LSTM, AnyCell, Elman
from throughtime.native import _kernels

Tensors = tuple[Tensor, ...]


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
    if type(cell) is LSTM:
        return _LSTM if cell.weight_hr is None else None
    if type(cell) is GRU:
        return _GRU
    if type(cell) is Elman:
        return _ELMAN[cell.nonlinearity]  # the cell knows no other
    return None


def kernel_named(name: str) -> Kernel:
    """The kernel of that name, as it travels through a registered operator."""
    return {kernel.name: kernel for kernel in (*_ELMAN.values(), _LSTM, _GRU)}[name]


def forward(
    kernel: Kernel,
    x: Tensor,
    states: Tensors,
    weights: Tensors,
    batch_sizes: Tensor | None,
    training: bool,
) -> tuple[Tensors, Tensors]:
    """Runs a kernel over a whole sequence.

    Args:
        kernel: which cell.
        x: inputs, [T, B, I] or packed [N, I].
        states: h0 [D, B, H], and c0 of an LSTM.
        weights: of each direction weight_ih, weight_hh and, with biases, bias_ih, bias_hh.
        batch_sizes: rows of each step of a packed input, int64 [T], or None.
        training: keep what the backward pass reads.

    Returns:
        results: y [T, B, D*H] or [N, D*H], and the final states [D, B, H].
        saved: nothing without `training`; else the gates [N, D, S, H] after their activation
            (an Elman cell has none, a GRU adds W_hn h + b_hn), then c [N, D, H] of an LSTM.
    """
    x, states, weights = dense(x), tuple(map(dense, states)), tuple(map(dense, weights))
    D, B, H = states[0].shape
    y = x.new_empty(*x.shape[:-1], D * H)
    finals = [torch.empty_like(state) for state in states]
    rows = math.prod(x.shape[:-1])
    saved = []
    if training and kernel.num_values:
        saved.append(x.new_empty(rows, D, kernel.num_values, H))
    if training and kernel.has_cell_state:
        saved.append(x.new_empty(rows, D, H))
    layer = packed_layer(kernel, x, weights, D, H)
    h_n, c_n = _padded(finals)
    gates, c = _split_saved(kernel, saved)
    tensors = (y, h_n, c_n, c, gates, x, *_padded(states), None, None)
    layer.forward(
        _addresses(_by_direction(weights, D)),
        _addresses(tensors),
        _sequence(x, B, batch_sizes),
        _threads(kernel, B, D, H),
    )
    return (y, *finals), tuple(saved)


def backward(
    kernel: Kernel,
    grads: Sequence[Tensor | None],
    x: Tensor,
    states: Tensors,
    weights: Tensors,
    y: Tensor,
    saved: Tensors,
    batch_sizes: Tensor | None,
    wants_dx: bool,
) -> Tensors:
    """Runs a kernel back through time.

        dL/dW_ih = sum_t dz_t^T x_t,   dL/dW_hh = sum_t da_t^T h_{t-1},   dL/dx_t = dz_t W_ih

    Args:
        kernel: which cell.
        grads: dL/dy, dL/dh_n and dL/dc_n of an LSTM; None for zeros.
        x: as in `forward`, as are states, weights and batch_sizes.
        states: see x.
        weights: see x.
        y: what `forward` gave, as is `saved`.
        saved: see y.
        batch_sizes: see x.
        wants_dx: whether dL/dx is to be computed.

    Returns:
        The gradients of x (empty unless wanted), the states and the weights, in this order.
    """
    x, y = dense(x), dense(y)
    states, weights, saved = (tuple(map(dense, group)) for group in (states, weights, saved))
    dy, *dstates_n = (None if grad is None else dense(grad) for grad in grads)
    D, B, H = states[0].shape
    dx = x.new_empty(D, *x.shape) if wants_dx else None
    dstates = [torch.empty_like(state) for state in states]
    dweights = tuple(torch.empty_like(weight) for weight in weights)
    gates, c = _split_saved(kernel, saved)
    outputs = (dx, *_padded(dstates), None, None)
    inputs = (dy, *_padded(dstates_n), x, y, c, gates, *_padded(states), None, None)
    packed_layer(kernel, x, weights, D, H).backward(
        _addresses(_by_direction(weights, D)),
        _addresses(_by_direction(dweights, D)),
        _addresses(outputs + inputs),
        _sequence(x, B, batch_sizes),
        _threads(kernel, B, D, H),
    )
    total_dx = x.new_empty(0) if dx is None else dx[0] if D == 1 else dx[0] + dx[1]
    return (total_dx, *dstates, *dweights)


def dense(tensor: Tensor) -> Tensor:
    """The same numbers as they must lie behind a pointer: in order, no sign left to apply."""
    return tensor.contiguous().resolve_neg()


_packed_layers: WeakIdKeyDictionary = WeakIdKeyDictionary()


def packed_layer(kernel: Kernel, x: Tensor, weights: Tensors, D: int, H: int) -> _kernels.Layer:
    """The packed copy of a layer's weights, kept as long as its first parameter lives."""
    sizes = (kernel.name, x.dtype == torch.float64, D, x.shape[-1], H)
    if type(weights[1]) is not Parameter:
        return _kernels.Layer(*sizes)
    known, layer = _packed_layers.get(weights[1], (None, None))
    if known != sizes:
        layer = _kernels.Layer(*sizes)
        _packed_layers[weights[1]] = sizes, layer
    return layer


def _split_saved(kernel: Kernel, saved: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Gates and c, where there are such."""
    gates, c = saved[: kernel.num_values > 0], saved[kernel.num_values > 0 :]
    return (gates[0] if gates else None), (c[0] if c else None)


def _padded(states: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """H and c, or None in place of the c that a cell does not have."""
    return states[0], (states[1] if len(states) > 1 else None)


def _by_direction(weights: Tensors, D: int) -> list[Tensor | None]:
    """Four weights per direction, None for absent biases."""
    kinds = len(weights) // D
    return [
        weights[d * kinds + kind] if kind < kinds else None for d in range(D) for kind in range(4)
    ]


def _addresses(tensors: Sequence[Tensor | None]) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _sequence(x: Tensor, B: int, batch_sizes: Tensor | None) -> _kernels.Sequence:
    if batch_sizes is None:
        return _kernels.Sequence(x.shape[0], B, False, 0, 0, 0)
    return _kernels.Sequence(len(batch_sizes), B, False, batch_sizes.data_ptr(), 0, 0)


def _threads(kernel: Kernel, B: int, D: int, H: int) -> int:
    return _kernels.choose_threads(kernel.name, B, D, H, torch.get_num_threads())

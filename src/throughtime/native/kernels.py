"""Calls the compiled kernels on torch's buffers: shapes in, pointers across, tensors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
    splits_recurrent: bool = False  # gradients of W_hh h + b_hh and of the input's part differ
    gates_replace_input: bool = False  # the gates may be written over the projected input

    @property
    def num_states(self) -> int:
        """Initial (and final) states: h, and c of an LSTM."""
        return 1 + self.has_cell_state

    @property
    def num_saved_tensors(self) -> int:
        """Tensors kept for the backward pass beside y: gates, and c of an LSTM."""
        return (self.num_values > 0) + self.has_cell_state


_ELMAN = {"tanh": Kernel("elman_tanh", 1, 0), "relu": Kernel("elman_relu", 1, 0)}
_LSTM = Kernel("lstm", 4, 4, has_cell_state=True, gates_replace_input=True)
_GRU = Kernel("gru", 3, 4, splits_recurrent=True)


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


@dataclass(frozen=True)
class Sizes:
    """Sizes of one call; N is the number of rows of all steps together."""

    N: int
    T: int
    B: int
    D: int
    H: int

    @classmethod
    def of(cls, x: Tensor, h0: Tensor, batch_sizes: Tensor | None) -> Sizes:
        """Reads the sizes from inputs [T, B, I] or [N, I] and initial states [D, B, H]."""
        D, B, H = h0.shape
        if batch_sizes is None:
            return cls(x.shape[0] * B, x.shape[0], B, D, H)
        return cls(x.shape[0], batch_sizes.shape[0], B, D, H)


def forward(
    kernel: Kernel,
    z: Tensor,
    weight_hh: Tensor,
    bias_hh: Tensor | None,
    states: Tensors,
    batch_sizes: Tensor | None,
    sizes: Sizes,
    lead: Sequence[int],
    training: bool,
) -> tuple[Tensor, Tensors, Tensors]:
    """Runs a kernel over a whole sequence.

    Args:
        kernel: which cell.
        z: projected inputs, [N, D, G*H], contiguous; an LSTM in training overwrites it.
        weight_hh: [D, G*H, H], contiguous.
        bias_hh: [D, G*H] or None.
        states: h0 [D, B, H], and c0 of an LSTM.
        batch_sizes: rows of each step, [T], or None for B rows in all.
        sizes: of this call.
        lead: axes of y before the last, [T, B] or [N].
        training: keep what the backward pass reads.

    Returns:
        y: [*lead, D*H].
        finals: h_n [D, B, H], and c_n of an LSTM.
        saved: nothing without `training`; else the gates [N, D, S, H] after their activation
            (an Elman cell has none, a GRU adds W_hn h + b_hn), then c [N, D, H] of an LSTM.
    """
    y = z.new_empty(*lead, sizes.D * sizes.H)
    h0, *c0 = map(dense, states)
    h_n, *c_n = (torch.empty_like(state) for state in (h0, *c0))
    gates, c = [], []
    if training and kernel.num_values:
        shape = (sizes.N, sizes.D, kernel.num_values, sizes.H)
        # in place there is a third less memory to touch
        gates.append(z.view(shape) if kernel.gates_replace_input else z.new_empty(shape))
    if training and kernel.has_cell_state:
        c.append(z.new_empty(sizes.N, sizes.D, sizes.H))
    outputs = (y, h_n, _only(c_n), _only(c), _only(gates))
    inputs = (z, weight_hh, bias_hh, h0, _only(c0), batch_sizes)
    _call(_kernels.forward, kernel, z.dtype, (*outputs, *inputs), sizes)
    return y, (h_n, *c_n), (*gates, *c)


def backward(
    kernel: Kernel,
    grads: Sequence[Tensor],
    y: Tensor,
    states: Tensors,
    saved: Tensors,
    weight_hh: Tensor,
    batch_sizes: Tensor | None,
    sizes: Sizes,
) -> tuple[Tensor, Tensor, Tensors]:
    """Runs a kernel back through time.

    Args:
        kernel: which cell.
        grads: dL/dy [N, D*H], dL/dh_n [D, B, H] and dL/dc_n of an LSTM.
        y: what `forward` gave, as is `saved`.
        states: as in `forward`, as are weight_hh, batch_sizes and sizes.
        saved: see y.
        weight_hh: see states.
        batch_sizes: see states.
        sizes: see states.

    Returns:
        dz: dL/d(projected input), [N, D*G*H].
        da: dL/d(recurrent part W_hh h + b_hh), [N, D*G*H]; the same tensor except in a GRU.
        dstates: dL/dh0, and dL/dc0 of an LSTM, [D, B, H].
    """
    y, h0, *c0 = map(dense, (y, *states))
    saved, grads = tuple(map(dense, saved)), tuple(map(dense, grads))
    dh0, *dc0 = (torch.empty_like(state) for state in (h0, *c0))
    dz = y.new_empty(sizes.N, sizes.D * kernel.num_gates * sizes.H)
    da = torch.empty_like(dz) if kernel.splits_recurrent else None
    dy, dh_n, *dc_n = grads
    gates, c = saved[: kernel.num_values > 0], saved[kernel.num_values > 0 :]
    outputs = (dz, da, dh0, _only(dc0), dy, dh_n, _only(dc_n))
    inputs = (y, h0, _only(c0), _only(c), _only(gates), weight_hh, batch_sizes)
    _call(_kernels.backward, kernel, y.dtype, (*outputs, *inputs), sizes)
    return dz, (dz if da is None else da), (dh0, *dc0)


def dense(tensor: Tensor) -> Tensor:
    """The same numbers as they must lie behind a pointer: in order, no sign left to apply."""
    return tensor.contiguous().resolve_neg()


def _only(tensors: Sequence[Tensor]) -> Tensor | None:
    """The one tensor that a cell may have or not."""
    return tensors[0] if tensors else None


def _call(
    run: Callable[..., None],
    kernel: Kernel,
    dtype: torch.dtype,
    tensors: tuple[Tensor | None, ...],
    sizes: Sizes,
) -> None:
    """Crosses into C++ with a workspace, since a kernel allocates nothing, and threads by work."""
    B, D, H = sizes.B, sizes.D, sizes.H
    is_double = dtype == torch.float64
    threads = _kernels.choose_threads(kernel.name, B, D, H, torch.get_num_threads())
    size = _kernels.workspace_elements(kernel.name, is_double, B, D, H, threads)
    workspace = torch.empty(size, dtype=dtype, device="cpu")
    pointers = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
    run(kernel.name, is_double, *pointers, sizes.T, B, D, H, workspace.data_ptr(), threads)

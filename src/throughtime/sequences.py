"""Which steps the rows of a sequence have, and where they begin afresh."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C import _functorch as functorch

from throughtime.axes import describe_axes
from throughtime.errors import ShapeError


class Rows(NamedTuple):
    """The rows of a sequence: [T, B, ·], or packed, [N, ·], as in a `PackedSequence`.

    Args:
        batch_sizes: rows of each step of a packed sequence, int64 [T] on the CPU, never increasing.
        lengths: steps of each row, int64 [B] on the CPU, from 0 to T in any order; None when all
            have T. Not for packed sequences, as is `reset`.
        reset: where a row begins afresh, bool [T, B] on the device of the sequence: between its
            steps t-1 and t, from either side; None for nowhere.
    """

    batch_sizes: Tensor | None = None
    lengths: Tensor | None = None
    reset: Tensor | None = None

    def num_steps(self, x: Tensor) -> int:
        """T."""
        return x.shape[0] if self.batch_sizes is None else self.batch_sizes.shape[0]

    def batch(self, x: Tensor) -> int:
        """B, the rows of the first step."""
        return x.shape[1] if self.batch_sizes is None else int(self.batch_sizes[0])

    def is_batched(self) -> bool:
        """Whether `vmap` gives each of its examples lengths or resets of its own."""
        return any(rows is not None and is_batched(rows) for rows in self[1:])

    def steps(self, z: Tensor) -> tuple[Tensor, ...]:
        """The rows of each step, [B, ·]; of a packed sequence those that go on."""
        if self.batch_sizes is None:
            return z.unbind(0)
        return torch.split(z, self.batch_sizes.tolist())

    def valid(self, x: Tensor) -> Tensor | None:
        """Which rows have a step t, bool [T, B]; None where all have, or x is packed."""
        if self.lengths is None:
            return None
        steps = torch.arange(x.shape[0], device=x.device)
        return steps[:, None] < self.lengths.to(x.device)

    def carried(self, x: Tensor, reverse: bool) -> Tensor | None:
        """Which rows take part in step t with the state of the step visited before, bool [T, B].

        None where all do. The others begin afresh there, or have no such step.
        """
        valid = self.valid(x)
        if self.reset is None:
            return valid
        begins = self.reset
        if reverse:  # a reset at t stands between t-1 and t; behind a row's end there is none
            later = begins[1:] if valid is None else begins[1:] & valid[1:]
            begins = torch.cat([later, torch.zeros_like(begins[:1])])
        return ~begins if valid is None else valid & ~begins


WHOLE = Rows()
"""Every row has every step, [T, B, ·]."""


def without_padding(x: Tensor, valid: Tensor | None) -> Tensor:
    """The sequence [T, B, ·] with zeros where a row has no step.

    Nothing that stood there goes on, not even NaN, and no gradient comes back to it.
    """
    return x if valid is None else x.masked_fill(~valid[..., None], 0)


def read_rows(lengths: Any, reset: Any, x: Tensor, batch_first: bool) -> Rows:
    """The rows of a sequence [T, B, ·] as a user describes them.

    Args:
        lengths: int64 [B], a tensor, an array or a list; or None.
        reset: bool [T, B], or [B, T] with `batch_first`; or None.
        x: the sequence.
        batch_first: whether `reset` begins with B.

    Returns:
        rows: copies, so that a later change to either does not reach the backward pass.

    Raises:
        ShapeError: one has another shape or dtype, or a length is negative or above T.
    """
    T, B = x.shape[:2]
    if lengths is not None:
        lengths = _tensor("lengths", lengths, torch.int64, "B", {"B": B}, "number per row")
        lengths = bare(lengths.to("cpu", copy=True).contiguous())
        if not torch.compiler.is_compiling():  # the operator looks when it runs
            check_range(lengths, T)
    if reset is not None:
        axes = "B T" if batch_first else "T B"
        reset = _tensor("reset", reset, torch.bool, axes, {"T": T, "B": B}, "bool per row and step")
        reset = reset.transpose(0, 1) if batch_first else reset
        reset = bare(reset.to(x.device, copy=True).contiguous())
    return Rows(None, lengths, reset)


def check_range(lengths: Tensor, T: int) -> None:
    """Refuses lengths that a sequence of T steps cannot have.

    Raises:
        ShapeError: one is negative or above T.
    """
    while functorch.is_functorch_wrapped_tensor(lengths):  # `vmap` hides every row from a look
        lengths = functorch.get_unwrapped(lengths)
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= T:
        raise ShapeError(
            f"lengths must be from 0 to T = {T}, got {lengths.tolist()}; count the steps of each "
            "row."
        )


def is_batched(tensor: Tensor) -> bool:
    """Whether `vmap` stands one of these for each of its examples."""
    return functorch.is_batchedtensor(tensor)


def bare(tensor: Tensor) -> Tensor:
    """A constant: the tensor without what `torch.func.grad` put around it: it has no derivative."""
    if torch._C._are_functorch_transforms_active():
        while functorch.is_gradtrackingtensor(tensor):
            tensor = functorch.get_unwrapped(tensor)
    return tensor


def _tensor(
    name: str, value: Any, dtype: torch.dtype, axes: str, sizes: dict[str, int], unit: str
) -> Tensor:
    """The value as a tensor of these axes."""
    expected = f"{name} must be {str(dtype)[6:]} {describe_axes(axes, sizes)}"
    try:
        is_empty = not isinstance(value, Tensor) and len(value) == 0  # of no type one could tell
        tensor = torch.as_tensor(value, dtype=dtype if is_empty else None)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(
            f"{expected}, got {type(value).__name__} {value!r}; pass one {unit}."
        ) from error
    if tensor.shape != tuple(sizes[axis] for axis in axes.split()) or tensor.dtype != dtype:
        raise ShapeError(
            f"{expected}, got {str(tensor.dtype)[6:]} {list(tensor.shape)}; pass one {unit}."
        )
    return tensor

"""One step of cells as a map of one vector, and its Jacobian."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.cells import AnyCell, Zoneout
from throughtime.errors import OptionError
from throughtime.native.functions import full_precision
from throughtime.native.twins import inner_of, with_weights

MEMORY = 2**31
"""Bytes that the Jacobians of one moment may take, unless more are allowed."""


@dataclass(frozen=True)
class StepMap:
    """One step of a cell, or of a stack of cells, as a map of one vector.

        s_t = F(s_{t-1}, x_t)

    s holds every field of every layer's state side by side, [B, S]: h of an Elman cell or a GRU,
    (h, c) of an LSTM, and of a stack that of the first layer first. Rows do not mix.

    Args:
        cells: one cell per layer, the first reads x.
        is_residual: whether every layer above the first adds its input to its output.
    """

    cells: Sequence[AnyCell]
    is_residual: bool = False

    def __call__(self, s: Tensor, x: Tensor) -> Tensor:
        """The vectors one step later, [B, S], for inputs x, [B, I]."""
        after = []
        with full_precision():
            for layer, (cell, state) in enumerate(zip(self.cells, self.split(s), strict=True)):
                after.append(cell.step(cell.project(x), state))
                y = after[-1][0]
                x = x + y if layer and self.is_residual else y
        return join(after)

    def split(self, s: Tensor) -> list[Any]:
        """The states of the layers, fields [B, ·], that the vectors are made of."""
        kinds = [cell.initial_state(1) for cell in self.cells]
        sizes = [field.shape[-1] for state in kinds for field in state]
        parts = iter(torch.split(s, sizes, dim=-1))
        return [type(state)(*(next(parts) for _ in state)) for state in kinds]

    def labels(self) -> dict[str, list[Any]]:
        """What each number of the vector is: its layer, its field and its unit there."""
        states = [cell.initial_state(1) for cell in self.cells]
        each = [
            (layer, name, unit)
            for layer, state in enumerate(states)
            for name, field in zip(state._fields, state, strict=True)
            for unit in range(field.shape[-1])
        ]
        return dict(
            zip(("layer", "field", "unit"), map(list, zip(*each, strict=True)), strict=True)
        )

    def linearised(self, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """F(s, x), [B, S], and dF/ds, [B, S, S]: row i belongs to number i of the result.

        One forward pass, and one backward pass that carries all S rows of the Jacobian at once.
        """
        with torch.enable_grad():
            s = s.detach().requires_grad_()
            after = self(s, x.detach())
            rows = torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)
            rows = rows[:, None].expand(-1, len(s), -1)
            (jacobian,) = torch.autograd.grad(
                after, s, rows, is_grads_batched=True, materialize_grads=True
            )
        return after.detach(), jacobian.transpose(0, 1)


def join(states: Sequence[Any]) -> Tensor:
    """All fields of all states side by side, [..., S]."""
    return torch.cat([field for state in states for field in state], dim=-1)


def in_double(cell: Any) -> Any:
    """The cell over its weights in float64 on the CPU; one of one's own in evaluation mode."""
    if isinstance(cell, nn.Module):
        return copy.deepcopy(cell).to("cpu", torch.float64).eval().requires_grad_(False)
    own = vars(inner_of(cell)).items()
    weights = {name: value.detach() for name, value in own if isinstance(value, Tensor)}
    return with_weights(cell, {n: value.to("cpu", torch.float64) for n, value in weights.items()})


def at_step(cell: Any, t: int, rows: Tensor) -> Any:
    """The cell as it was at step t of some rows: with what was drawn for them there."""
    if isinstance(cell, Zoneout):
        keep = tuple(k[t][rows] if isinstance(k, Tensor) else k for k in cell.keep)
        return replace(cell, cell=at_step(cell.cell, t, rows), keep=keep)
    mask = getattr(cell, "mask", None)
    return replace(cell, mask=mask[rows]) if isinstance(mask, Tensor) else cell


def check_memory(rows: int, size: int, limit: float, remedy: str) -> None:
    """Refuses Jacobians that would not fit.

    Args:
        rows: B, Jacobians held at a time.
        size: S.
        limit: bytes.
        remedy: how to ask for less.

    Raises:
        OptionError: as said.
    """
    needed = memory_of(rows, size)
    if needed > limit:
        raise OptionError(
            f"Jacobians of {rows} rows with S = {size} numbers in the state must fit into "
            f"{limit / 2**30:.3g} GiB, they need {needed / 2**30:.3g}; {remedy}."
        )


def memory_of(rows: int, size: int) -> int:
    """Bytes that the Jacobians [B, S, S] take while they are computed, at most.

    Of a GRU in float64 20 numbers for each one of the result, of other cells half of that.
    """
    return 160 * rows * size * size

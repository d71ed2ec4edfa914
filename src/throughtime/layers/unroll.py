"""The plain loop over time: the definition every fast path is tested against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from throughtime.cells import AnyCell, Cell, State

S = TypeVar("S", bound=State)


def unroll(
    cell: Cell[S],
    x: Tensor,
    state: S,
    batch_sizes: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, S]:
    """Runs a cell over a sequence, one step after the other.

        state_t = step(project(x_t), state_{t-1}),   y_t = h_t,   t = 1 ... T
        with `reverse`, t = T ... 1 and state_{t+1} on the right

    Args:
        cell: the step and its weights.
        x: inputs, [T, B, I]; or with `batch_sizes` the rows of all steps one after the other,
            [N, I], as in a `PackedSequence`: step t has the first batch_sizes[t] rows.
        state: state before the first step, fields [B, ·].
        batch_sizes: rows of each step, int64 [T] on the CPU, never increasing.
        reverse: begin at the end; each row begins at its own last step.

    Returns:
        y: h of every step in the layout of x, [T, B, H] or [N, H].
        state: state after the last step of each row, fields [B, ·].
    """
    z = cell.project(x)
    steps = z.unbind(0) if batch_sizes is None else torch.split(z, batch_sizes.tolist())
    outputs = []
    for z_t in reversed(steps) if reverse else steps:
        rows = z_t.shape[0]
        new = cell.step(z_t, type(state)(*(field[:rows] for field in state)))
        # the rows below have ended (in reverse: not begun) and keep their state
        state = type(state)(*map(_join, new, state))
        outputs.append(new[0])
    if reverse:
        outputs.reverse()
    return (torch.stack(outputs) if batch_sizes is None else torch.cat(outputs)), state


def _join(new: Tensor, old: Tensor) -> Tensor:
    """The stepped rows above, the resting ones below."""
    return new if len(new) == len(old) else torch.cat([new, old[len(new) :]])


def unroll_directions(
    cells: Sequence[AnyCell], x: Tensor, state: State, batch_sizes: Tensor | None = None
) -> tuple[Tensor, State]:
    """Runs one layer: the first cell forward and, if there is one, the second backward in time.

    Args:
        cells: one cell, or two for a bidirectional layer.
        x: inputs, [T, B, I] or packed [N, I].
        state: initial states of the D directions, fields [D, B, ·].
        batch_sizes: as in `unroll`.

    Returns:
        y: outputs of the directions side by side, [T, B, D*H] or [N, D*H].
        state: final states, fields [D, B, ·].
    """
    outputs, finals = [], []
    for d, cell in enumerate(cells):
        start = type(state)(*(field[d] for field in state))
        y, final = unroll(cell, x, start, batch_sizes, reverse=d == 1)
        outputs.append(y)
        finals.append(final)
    return torch.cat(outputs, dim=-1), type(state)(*map(torch.stack, zip(*finals, strict=True)))

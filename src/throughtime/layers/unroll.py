"""The plain loop over time: the definition every fast path is tested against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from throughtime.cells import AnyCell, CellLike, State
from throughtime.layers.checks import check_step
from throughtime.layers.trace import StepNotes, Trace
from throughtime.sequences import WHOLE, Rows, without_padding

S = TypeVar("S", bound=State)


def unroll(
    cell: CellLike[S], x: Tensor, state: S, rows: Rows = WHOLE, reverse: bool = False
) -> tuple[Tensor, S]:
    """Runs a cell over a sequence, one step after the other.

        state_t = step(project(x_t), state_{t-1}),   y_t = h_t,   t = 1 ... T
        with `reverse`, t = T ... 1 and state_{t+1} on the right

    A row without a step t keeps its state there; a row that is reset sees the cell's initial state
    in the place of the one that would be carried over.

    Args:
        cell: the step and its weights.
        x: inputs, [T, B, I]; or packed, the rows of all steps one after the other, [N, I]: step t
            has the first batch_sizes[t] rows.
        state: state before the first step, fields [B, ·].
        rows: which steps the rows have, and where they begin afresh.
        reverse: begin at the end; each row begins at its own last step.

    Returns:
        y: h of every step in the layout of x, [T, B, H] or [N, H]; zeros where a row has no step.
        state: state after the last step of each row, fields [B, ·].
    """
    outputs, final = [], state
    for new, after in _visit(cell, x, state, rows, reverse):
        outputs.append(new[0])
        final = after
    return _sequence(outputs, x, rows, reverse), final


def unroll_steps(
    cell: CellLike[S],
    x: Tensor,
    state: S,
    rows: Rows = WHOLE,
    reverse: bool = False,
    notes: StepNotes | None = None,
) -> tuple[S, S]:
    """As `unroll`, with every field of the state at every step, [T, B, ·], in the place of y.

    Notes, where there are some, tell the gradients of every step.
    """
    steps, final = [], state
    for new, after in _visit(cell, x, state, rows, reverse, notes):
        steps.append(new)
        final = after
    fields = [_sequence(field, x, rows, reverse) for field in zip(*steps, strict=True)]
    return type(state)(*fields), final


def _visit(
    cell: CellLike[S],
    x: Tensor,
    state: S,
    rows: Rows,
    reverse: bool,
    notes: StepNotes | None = None,
) -> Iterator[tuple[S, S]]:
    """Step after step the new state of the rows that go on, and the state of all rows."""
    valid, carried = rows.valid(x), rows.carried(x, reverse)
    steps = rows.steps(cell.project(without_padding(x, valid)))
    fresh = cell.initial_state(rows.batch(x))
    for t in reversed(range(len(steps))) if reverse else range(len(steps)):
        # rows without this step begin afresh as well: what they compute is a number, and dropped
        before = state if carried is None else _choose(carried[t], state, fresh)
        z = steps[t]
        before = type(state)(*(field[: len(z)] for field in before))
        new = cell.step(z, before) if notes is None else notes.step(t, cell, z, before)
        if t == (len(steps) - 1 if reverse else 0):
            check_step(cell, new, before)
        if valid is not None:
            new = _choose(valid[t], new, state)
        # the rows below have ended (in reverse: not begun) and keep their state
        state = type(state)(*map(_join, new, state))
        yield new, state


def _sequence(outputs: Sequence[Tensor], x: Tensor, rows: Rows, reverse: bool) -> Tensor:
    """What was visited step by step, in the layout of x; zeros where a row has no step."""
    ordered = list(reversed(outputs)) if reverse else list(outputs)
    y = torch.stack(ordered) if rows.batch_sizes is None else torch.cat(ordered)
    return without_padding(y, rows.valid(x))


def _choose(condition: Tensor, yes: S, no: S) -> S:
    """Row by row one state or the other; condition [B]."""
    pairs = zip(yes, no, strict=True)
    return type(yes)(*(torch.where(condition[:, None], a, b) for a, b in pairs))


def _join(new: Tensor, old: Tensor) -> Tensor:
    """The stepped rows above, the resting ones below."""
    return new if len(new) == len(old) else torch.cat([new, old[len(new) :]])


def unroll_directions(
    cells: Sequence[AnyCell], x: Tensor, state: State, rows: Rows = WHOLE
) -> tuple[Tensor, State]:
    """Runs one layer: the first cell forward and, if there is one, the second backward in time.

    Args:
        cells: one cell, or two for a bidirectional layer.
        x: inputs, [T, B, I] or packed [N, I].
        state: initial states of the D directions, fields [D, B, ·].
        rows: as in `unroll`.

    Returns:
        y: outputs of the directions side by side, [T, B, D*H] or [N, D*H].
        state: final states, fields [D, B, ·].
    """
    outputs, finals = [], []
    for d, cell in enumerate(cells):
        start = type(state)(*(field[d] for field in state))
        y, final = unroll(cell, x, start, rows, reverse=d == 1)
        outputs.append(y)
        finals.append(final)
    return torch.cat(outputs, dim=-1), type(state)(*map(torch.stack, zip(*finals, strict=True)))


def unroll_direction_steps(
    cells: Sequence[AnyCell],
    x: Tensor,
    state: State,
    rows: Rows = WHOLE,
    trace: Trace | None = None,
) -> tuple[State, State]:
    """As `unroll_directions`, with the states of every step for y, fields [..., D, ·].

    A trace, where there is one, keeps their numbers and their gradients.
    """
    found, adjoints = [], None if trace is None else trace.adjoints
    for d, cell in enumerate(cells):
        start = type(state)(*(field[d] for field in state))
        notes = adjoints.new_notes() if adjoints is not None else None
        found.append(unroll_steps(cell, x, start, rows, d == 1, notes))
    states, finals = zip(*found, strict=True)
    fields = [torch.stack(field, dim=-2) for field in zip(*states, strict=True)]
    if trace is not None:
        trace.see(type(state)(*fields))
    return type(state)(*fields), type(state)(*map(torch.stack, zip(*finals, strict=True)))

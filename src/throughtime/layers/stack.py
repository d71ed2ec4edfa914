"""Layers on top of each other, each in the kernel where it can be and in the loop elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from throughtime import native
from throughtime.cells import AnyCell, State
from throughtime.layers.unroll import unroll_directions
from throughtime.sequences import WHOLE, Rows


def run_stack(
    layers: Sequence[Sequence[AnyCell]],
    x: Tensor,
    state: State | None,
    rows: Rows = WHOLE,
    dropout: float = 0.0,
) -> tuple[Tensor, State]:
    """Runs layer after layer over the whole sequence.

    Args:
        layers: for each layer the cells of its D directions.
        x: inputs, [T, B, I] or packed [N, I] (see `unroll`).
        state: initial states of all layers and directions, fields [L*D, B, H]; None for zeros.
        rows: which steps the rows have, and where they begin afresh.
        dropout: share of values dropped between layers, in [0, 1].

    Returns:
        y: outputs of the last layer, [T, B, D*H] or [N, D*H].
        state: final states, fields [L*D, B, H].
    """
    if len(layers) == 1:
        return run_layer(layers[0], x, state, rows)
    states = [_part(state, index, layers) for index in range(len(layers))]
    results = None if dropout else _run_at_once(layers, x, states, rows)
    if results is None:
        results = []
        for index, cells in enumerate(layers):
            if index and dropout:
                x = drop(x, dropout)
            results.append(run_layer(cells, x, states[index], rows))
            x = results[-1][0]
    finals = [final for _, final in results]
    return results[-1][0], type(finals[0])(*map(torch.cat, zip(*finals, strict=True)))


def _run_at_once(
    layers: Sequence[Sequence[AnyCell]],
    x: Tensor,
    states: Sequence[State | None],
    rows: Rows,
) -> list[tuple[Tensor, State]] | None:
    """Output and final state of each layer, where the kernel can run all at the same time."""
    if native.refusal(layers[0], x, rows) is not None:
        return None
    return native.run_wave(layers, x, states, rows)


def _part(state: State | None, index: int, layers: Sequence[Sequence[AnyCell]]) -> State | None:
    """The rows of one layer."""
    if state is None:
        return None
    D = len(layers[0])
    return type(state)(*(field[index * D : (index + 1) * D] for field in state))


def run_layer(
    cells: Sequence[AnyCell], x: Tensor, state: State | None, rows: Rows = WHOLE
) -> tuple[Tensor, State]:
    """Runs one layer, in the compiled kernel unless `native.refusal` names a reason against it.

    The numbers are those of `unroll_directions` either way; state None stands for zeros.
    """
    if native.refusal(cells, x, rows) is None:
        return native.run_layer(unroll_directions, cells, x, state, rows)
    if state is None:
        starts = [cell.initial_state(rows.batch(x)) for cell in cells]
        state = type(starts[0])(*map(torch.stack, zip(*starts, strict=True)))
    return unroll_directions(cells, x, state, rows)

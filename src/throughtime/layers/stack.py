"""Layers on top of each other, each in the kernel where it can be and in the loop elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

from throughtime import native
from throughtime.cells import AnyCell, State
from throughtime.layers.observer import Watch, Watched
from throughtime.layers.run import Run
from throughtime.layers.states import States
from throughtime.layers.trace import Trace
from throughtime.layers.unroll import unroll_direction_steps, unroll_directions
from throughtime.sequences import WHOLE, Rows


def run_stack(
    layers: Sequence[Sequence[AnyCell]],
    x: Tensor,
    states: Sequence[Any] | None,
    rows: Rows = WHOLE,
    dropout: float = 0.0,
    residual: bool = False,
    runs: list[Run] | None = None,
    watch: Watch | None = None,
) -> tuple[Tensor, States]:
    """Runs layer after layer over the whole sequence.

    Args:
        layers: for each layer the cells of its D directions.
        x: inputs, [T, B, I] or packed [N, I] (see `unroll`).
        states: of each layer its initial states, fields [D, B, ·]; None for zeros.
        rows: which steps the rows have, and where they begin afresh.
        dropout: share of values dropped between layers, in [0, 1].
        residual: whether every layer above the first adds its input to its output.
        runs: a list to put what every layer computed into; None to keep nothing.
        watch: who looks on, if somebody does.

    Returns:
        y: outputs of the last layer, [T, B, D*H] or [N, D*H].
        states: final states, in the form of `states`.
    """
    if len(layers) == 1 and runs is None and watch is None:
        y, final = run_layer(layers[0], x, None if states is None else states[0], rows)
        return y, States((final,))
    begin = [None] * len(layers) if states is None else states
    is_apart = dropout or residual or runs is not None or watch is not None
    results = None if is_apart else _run_at_once(layers, x, begin, rows)
    if results is not None:
        return results[-1][0], States(final for _, final in results)
    finals = []
    for index, cells in enumerate(layers):
        share = dropout if index else 0.0
        is_residual = residual and index > 0
        trace = None if watch is None else watch.new_trace()
        dropped, below = None, x
        if share and watch is None:
            below = drop(x, share)
        elif share:
            dropped = drop(torch.ones_like(x), share)
            below = x * dropped
        if runs is None:
            y, final = run_layer(cells, below, begin[index], rows, trace)
        else:
            run, final = _run_layer_steps(cells, below, begin[index], rows, trace)
            runs.append(run)
            y = run.states[0].flatten(-2)
        if watch is not None and trace is not None:
            start = begin[index]
            watch.add(Watched(cells, below, start, rows, trace, dropped, is_residual))
        x = x + y if is_residual else y
        finals.append(final)
    return x, States(finals)


def _run_at_once(
    layers: Sequence[Sequence[AnyCell]],
    x: Tensor,
    states: Sequence[State | None],
    rows: Rows,
) -> list[tuple[Tensor, State]] | None:
    """Output and final state of each layer, where the kernel can run all at the same time."""
    if any(native.refusal(cells, x, rows) is not None for cells in layers):
        return None
    return native.run_wave(layers, x, states, rows)


def run_layer(
    cells: Sequence[AnyCell],
    x: Tensor,
    state: Any,
    rows: Rows = WHOLE,
    trace: Trace | None = None,
) -> tuple[Tensor, Any]:
    """Runs one layer, in the compiled kernel unless `native.refusal` names a reason against it.

    The numbers are those of `unroll_directions` either way; state None stands for zeros. A trace,
    where there is one, is left what was computed.
    """
    if native.refusal(cells, x, rows) is None:
        kernel = None if trace is None else trace.kernel
        found = native.run_layer(unroll_directions, cells, x, state, rows, kernel)
        if kernel is None or kernel.kept:  # not where torch's operators are recorded
            return found
    begin = _begin(cells, state, rows.batch(x))
    if trace is None:
        return unroll_directions(cells, x, begin, rows)
    states, final = unroll_direction_steps(cells, x, begin, rows, trace)
    return states[0].flatten(-2), final


def _run_layer_steps(
    cells: Sequence[AnyCell], x: Tensor, state: Any, rows: Rows, trace: Trace | None
) -> tuple[Run, State]:
    """As `run_layer`, with all that the layer computed in the place of y."""
    if native.refusal(cells, x, rows) is None:
        kernel = None if trace is None else trace.kernel
        found = native.run_layer_steps(unroll_direction_steps, cells, x, state, rows, kernel)
        if found is not None:
            return Run(cells, x, state, rows, found.states, found.gates), found.final
    begin = _begin(cells, state, rows.batch(x))
    states, final = unroll_direction_steps(cells, x, begin, rows, trace)
    return Run(cells, x, state, rows, states), final


def _begin(cells: Sequence[AnyCell], state: Any, batch: int) -> Any:
    """The state before the first step of each direction, fields [D, B, ·]."""
    if state is not None:
        return state
    starts = [cell.initial_state(batch) for cell in cells]
    return type(starts[0])(*map(torch.stack, zip(*starts, strict=True)))

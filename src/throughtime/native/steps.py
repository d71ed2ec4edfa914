"""One layer in the compiled kernel, with every state and gate that it computes on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from throughtime.cells import AnyCell, State
from throughtime.native.functions import Layer, LayerForward
from throughtime.native.kernels import forward
from throughtime.native.layer import is_recorded, is_traced, loop_of, prepare, state_of
from throughtime.native.trace import Trace, gates_of, states_of
from throughtime.sequences import Rows

UnrollSteps = Callable[[Sequence[AnyCell], Tensor, State, Rows], tuple[State, State]]


class LayerSteps(NamedTuple):
    """What a layer computed at every step."""

    states: State  # fields [T, B, D, ·], or packed [N, D, ·]
    final: State  # fields [D, B, ·]
    gates: Tensor | None  # those of the kernel after their activation, [T, B, D, G, H] or packed


def run_layer_steps(
    unroll_steps: UnrollSteps,
    cells: Sequence[AnyCell],
    x: Tensor,
    state: State | None,
    rows: Rows,
    trace: Trace | None = None,
) -> LayerSteps | None:
    """As `run_layer`, with what the kernel keeps for its backward pass.

    Args:
        unroll_steps: the plain loop that gives the states of every step, and the final ones.
        cells: as in `run_layer`.
        x: inputs, [T, B, I] or packed [N, I].
        state: as in `run_layer`, as are rows.
        rows: see state.
        trace: where the passes leave their numbers.

    Returns:
        Views of the kernel's results: h and c are differentiable, the gates are numbers alone and
        None where the kernel keeps others. None where operators are recorded or transformed.

    Raises:
        ShapeError: as of `run_layer`.
    """
    call, row = prepare(cells, x, state, rows)
    if is_traced(row) or torch._C._are_functorch_transforms_active():
        return None
    kernel = call.kernel
    if is_recorded(row):
        own = loop_of(partial(_unroll_with_c, unroll_steps), cells, call)
        layer = Layer(call, own, kernel.has_cell_state, trace)
        results = LayerForward.apply_eagerly(layer, *row)
    else:
        found, saved = forward(call, row, training=True)
        results = found + saved
        if trace is not None:
            trace.see(call, found[0], saved)
    lead, first = x.shape[:-1], 1 + kernel.num_states
    y, final, saved = results[0], state_of(kernel, results[1:first]), results[first:]
    gates = gates_of(call, lead, y, *saved)
    return LayerSteps(states_of(call, lead, y, saved), final, gates)


def _unroll_with_c(unroll_steps: UnrollSteps, *call: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs [..., D*H], and the final states with c of every step, [N, D, H], behind them."""
    (h, *c), final = unroll_steps(*call)
    return h.flatten(-2), (*final, *[field.flatten(0, -3) for field in c])

"""How far the loss at the end of a window reaches back, and how a mean step stretches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from throughtime.cells import Zoneout
from throughtime.layers.run import Run
from throughtime.native.functions import full_precision
from throughtime.sequences import without_padding

GONE = 0.01
"""Share of its value at lag 0 under which a gradient counts as gone."""

ITERATIONS = 16
"""Steps of the power method; the first half only turns the vector."""


def reach_back(run: Run, direction: int, dy: Tensor) -> list[float]:
    """The gradient of the last step's loss on its way back through one layer, by lag.

        v_0 = (dy_T, 0),   v_k = J^T_{T-k+1} v_{k-1},   reach_k = mean |v_k| / mean |v_0|

    with J the Jacobian of a step of the whole state, (h, c) of an LSTM. The means are over the
    rows that have a step there; a row's T is its own last step. It ends with the first lag that
    is under `GONE`, or with the first step.

    Args:
        run: the layer in one call, without a graph.
        direction: 0, or 1 for the reverse one, whose last step is the first in time.
        dy: dL/dh_t from outside the layer, [T, B, D, H].

    Returns:
        The share at lags 0, 1, ...; nothing where no loss reads the last step.

    Source: Pascanu, Mikolov and Bengio 2013, eq. 5.
    """
    steps = _Steps(run, direction)
    num, batch = run.x.shape[:2]
    lengths = torch.full((batch,), num) if run.rows.lengths is None else run.rows.lengths.cpu()
    carried = run.rows.carried(run.x, reverse=direction == 1)
    rows = torch.arange(batch)
    last = lengths - 1 if direction == 0 else torch.zeros_like(lengths)
    v = [torch.zeros_like(field[0]) for field in steps.before]
    v[0] = dy[last.clamp(min=0), rows, direction]
    first: Tensor | None = None
    found: list[float] = []
    for k in range(num):
        t = last - k if direction == 0 else last + k
        is_there = (t >= 0) & (t < lengths)
        norms = torch.stack([part.double().square().sum(-1) for part in v]).sum(0).sqrt()
        first = norms if first is None else first
        whole = float(first[is_there].sum())
        if not whole > 0:
            break
        found.append(float(norms[is_there].sum()) / whole)
        if not found[-1] >= GONE:
            break
        at = t.clamp(0, num - 1)
        state, after = steps.take(at)
        v = list(torch.autograd.grad(after, state, v, materialize_grads=True))
        if carried is not None:
            v = [part * carried[at, rows, None] for part in v]
    return found


def spectral_radius(run: Run, direction: int) -> float:
    """The spectral radius of the mean Jacobian of a step, by the power method.

        rho(J),   J = mean over the rows of ds_t / ds_{t-1},   t the middle of the window

    s is the whole state, (h, c) of an LSTM. Above 1 what a state holds grows from step to step,
    far below 1 it is soon forgotten; with a pair of complex eigenvalues the value is a mean over
    half their turns, some per cent from theirs.

    Args:
        run: the layer in one call, without a graph.
        direction: 0, or 1 for the reverse one.
    """
    num, batch = run.x.shape[:2]
    t = num // 2
    state, after = _Steps(run, direction).take(torch.full((batch,), t))
    valid = run.rows.valid(run.x)
    weight = torch.ones(batch) if valid is None else valid[t].double()
    share = (weight / weight.sum().clamp(min=1)).to(after[0])[:, None]
    draw = torch.Generator().manual_seed(0)
    v = [torch.randn(f.shape[-1], generator=draw, dtype=f.dtype).to(f) for f in state]
    logs = []
    for _ in range(ITERATIONS):
        size = float(torch.cat(v).norm())
        if not 0 < size < math.inf:
            return 0.0 if size == 0 else math.nan
        logs.append(math.log(size))
        spread = [share * part / size for part in v]
        pulled = torch.autograd.grad(
            after, state, spread, retain_graph=True, materialize_grads=True
        )
        v = [part.sum(0) for part in pulled]
    late = logs[ITERATIONS // 2 :]
    return math.exp(sum(late) / len(late))


class _Steps:
    """Single steps of a direction, each row at a place of its own, with their graph."""

    def __init__(self, run: Run, direction: int) -> None:
        self.cell: Any = run.cells[direction]
        self.x = without_padding(run.x, run.rows.valid(run.x))
        self.before = run.states_before(direction)
        self.rows = torch.arange(run.x.shape[1])
        self.z: Tensor | None = None
        if isinstance(self.cell, Zoneout):  # what stays was drawn for the whole sequence
            with torch.no_grad(), full_precision():
                self.z = self.cell.project(self.x)

    def take(self, at: Tensor) -> tuple[Any, Any]:
        """The states before the steps, leaves, and those after, fields [B, ·].

        Args:
            at: step of each row, [B].
        """
        fields = (field[at, self.rows].requires_grad_() for field in self.before)
        state = type(self.before)(*fields)
        with torch.enable_grad(), full_precision():
            z = (
                self.cell.project(self.x[at, self.rows])
                if self.z is None
                else self.z[at, self.rows]
            )
            return state, self.cell.step(z, state)

"""The LSTM: a cell state that gates write to, keep and read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from throughtime.cells.cell import Inside, LSTMState
from throughtime.cells.weights import Weights


@dataclass(eq=False)
class LSTM(Weights):
    """Long short-term memory with a forget gate.

        [i, f, g, o] = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = W_hr (sigmoid(o) tanh(c_t))                      (W_hr only with a projection)

    With peepholes the gates see the cell state: i and f gain p c_{t-1}, o gains p_o c_t.
    Coupled, what is forgotten is written anew: sigmoid(i) is 1 - sigmoid(f), and i has no weights.

    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers, Schmidhuber and Cummins 2000;
    peepholes: Gers and Schmidhuber 2000; projection: Sak, Senior and Beaufays 2014; coupled gates:
    Greff et al. 2017.

    Args:
        weight_ih: W_ih, [G*H, I], rows in the order of `gates`; this and what follows up to
            `mask` as in `Weights`, with G = 4, or 3 when coupled.
        weight_hh: W_hh, [G*H, H], or [G*H, P] with a projection.
        weight_hr: W_hr, [P, H], or None.
        peepholes: p of i, f and o, [3H], when coupled of f and o, [2H]; or None.
        c_0: c before the first step and after a reset, [H]; None for zeros.
        is_coupled: whether the input gate is what the forget gate leaves.
    """

    weight_hr: Tensor | None = None
    peepholes: Tensor | None = None
    c_0: Tensor | None = None
    is_coupled: bool = False

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the blocks of rows of the weights, in their order."""
        gates = ("input", "forget", "candidate", "output")
        return gates[1:] if self.is_coupled else gates

    def step(self, z: Tensor, state: LSTMState) -> LSTMState:
        """One step from the projected input z, [B, G*H]."""
        new: LSTMState = self.inside(z, state).state
        return new

    def inside(self, z: Tensor, state: LSTMState) -> Inside:
        """What the step is made of; coupled, the input gate is shown without a pre-activation."""
        parts = (z + self.recur(state.h)).chunk(len(self.gates), dim=-1)
        a = dict(zip(self.gates, parts, strict=True))
        peepholes = self._peepholes()
        for name in peepholes.keys() & {"input", "forget"}:
            a[name] = a[name] + peepholes[name] * state.c
        f, g = torch.sigmoid(a["forget"]), torch.tanh(a["candidate"])
        i = 1 - f if self.is_coupled else torch.sigmoid(a["input"])
        c = f * state.c + i * g
        if peepholes:
            a["output"] = a["output"] + peepholes["output"] * c
        o = torch.sigmoid(a["output"])
        h = o * torch.tanh(c)
        if self.weight_hr is not None:
            h = linear(h, self.weight_hr)
        return Inside(a, {"input": i, "forget": f, "candidate": g, "output": o}, LSTMState(h, c))

    def _peepholes(self) -> dict[str, Tensor]:
        """By gate, [H] each; none without peepholes."""
        if self.peepholes is None:
            return {}
        seeing = [name for name in self.gates if name != "candidate"]
        return dict(zip(seeing, self.peepholes.chunk(len(seeing)), strict=True))

    def initial_state(self, batch: int) -> LSTMState:
        """H [B, H] or [B, P], c [B, H]: the learned ones, or zeros."""
        rows, outputs = self.weight_hh.shape
        cells = rows // len(self.gates)
        return LSTMState(self.start(self.h_0, batch, outputs), self.start(self.c_0, batch, cells))

"""Unrolls of every kind that a strategy may be handed: layers, modules, cells of one's own."""

from typing import NamedTuple

import torch
from cases import CASES, H, I, own_layer
from torch import nn

import throughtime as tt


class Leaky(nn.Module):
    """A module of one's own that counts steps: h_t = 0.7 h_{t-1} + 0.3 tanh(W x_t + U h_{t-1})."""

    class State(NamedTuple):
        h: torch.Tensor
        num_steps: torch.Tensor

    def __init__(self):
        super().__init__()
        self.input, self.recurrent = nn.Linear(I, H), nn.Linear(H, H, bias=False)

    def forward(self, x, state=None):
        state = state or self.State(x.new_zeros(x.shape[1], H), torch.zeros((), dtype=torch.int64))
        h, num_steps = state
        outputs = []
        for x_t in x:
            h = 0.7 * h + 0.3 * torch.tanh(self.input(x_t) + self.recurrent(h))
            outputs.append(h)
        outputs = torch.stack(outputs)
        return outputs, self.State(outputs[-1], num_steps + len(x))  # a view of all of them


class Stacked(nn.Module):
    """Two kinds of layer with a projection between, their states in a nested tuple."""

    def __init__(self):
        super().__init__()
        self.below, self.between = tt.LSTM(I, 3), nn.Linear(3, 5)
        self.above = nn.GRU(5, H)

    def forward(self, x, state=None):
        below, above = state or (None, None)
        y, below = self.below(x, below)
        y, above = self.above(torch.relu(self.between(y)), above)
        return y, (below, above)


UNROLLS = {
    "torch-rnn": lambda: nn.RNN(I, H, num_layers=2),
    "torch-lstm": lambda: nn.LSTM(I, H, num_layers=2),
    "torch-gru": lambda: nn.GRU(I, H),
    "projection": lambda: tt.LSTM(I, 6, proj_size=H),
    "own-module": Leaky,
    "own-cell": lambda: own_layer(I, H, num_layers=2).eval(),
    "stacked": Stacked,
    **{case.name: lambda case=case: case.layer(I, H, **case.options) for case in CASES},
}


def unroll_named(name):
    """One of them in float64, always with the same weights."""
    torch.manual_seed(0)
    return UNROLLS[name]().double()

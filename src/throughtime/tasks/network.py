"""A recurrent layer and a readout: the network of every task that reads numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from throughtime import init
from throughtime.layers import GRU, LSTM, RNN
from throughtime.tasks.network_options import NetworkOptions

LAYERS: dict[str, Callable[..., nn.Module]] = {
    "lstm": LSTM,
    "gru": GRU,
    "rnn": partial(RNN, nonlinearity="tanh"),
    "irnn": partial(RNN, nonlinearity="relu"),
}
"""The recurrent layers by the name of their cell."""


class Network(nn.Module):
    """Recurrent layers and a readout.

        h_t = layer(x_t, h_{t-1}),   y_t = W h_t + b

    Args:
        inputs: I, features of a step.
        outputs: O, numbers the readout gives.
        asked: how many of the last steps are read out, A; None for all.
        options: cell, hidden units, how they begin.
        steps: T, for the chrono initialisation.
        layers: recurrent layers on top of each other.
        dropout: share of values dropped between the layers and before the readout while training.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        asked: int | None,
        options: NetworkOptions,
        steps: int,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.layer = LAYERS[options.cell](inputs, options.hidden, layers, dropout=between)
        self.readout = nn.Linear(options.hidden, outputs)
        self.drop = nn.Dropout(dropout)
        self.asked = asked
        _begin_as(options.beginning, self.layer, steps)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of the steps that are asked for, the last A.

        Args:
            x: [T, B, I].

        Returns:
            y: [A, B, O].
        """
        hidden, _ = self.layer(x)
        y: Tensor = self.readout(self.drop(hidden if self.asked is None else hidden[-self.asked :]))
        return y


def _begin_as(name: str, layer: nn.Module, steps: int) -> None:
    """Initialises the layer by name; `default` leaves it as it was made."""
    if name == "identity":
        init.identity_(layer)
    elif name == "orthogonal":
        init.orthogonal_(layer)
    elif name == "forget-bias":
        init.forget_bias_(layer)
    elif name == "chrono":
        init.chrono_(layer, steps)

"""The Elman layer: `torch.nn.RNN` by name, argument, parameter and number."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from throughtime import cells
from throughtime.errors import OptionError
from throughtime.layers.recurrent import Recurrent


class RNN(Recurrent):
    """Elman network, the drop-in for `torch.nn.RNN`.

        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)      (or relu; Elman 1990)

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction.
        num_layers: L, layers on top of each other.
        nonlinearity: `"tanh"` or `"relu"`.
        bias: whether the cells have biases.
        batch_first: inputs and outputs are [B, T, ·]; states stay [L*D, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end.
        device: where the parameters are.
        dtype: of the parameters.

    Raises:
        OptionError: an argument has the wrong type or range.

    Example:
        >>> y, h = RNN(2, 4, num_layers=2)(torch.ones(5, 3, 2))
        >>> tuple(y.shape), tuple(h.shape)
        ((5, 3, 4), (2, 3, 4))
    """

    num_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise OptionError(
                f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}; choose one of them."
            )
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(*sizes, bias, batch_first, dropout, bidirectional, 0, device, dtype)
        self.nonlinearity = nonlinearity

    def _cell(self, weights: dict[str, Tensor]) -> cells.Elman:
        return cells.Elman(**weights, nonlinearity=self.nonlinearity)

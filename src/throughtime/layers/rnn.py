"""The Elman layer: `torch.nn.RNN` by name, argument, parameter and number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from throughtime import cells
from throughtime.cells.elman import check_nonlinearity
from throughtime.layers.torch_layer import TorchLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from throughtime.layers.torch_layer import Options


class RNN(TorchLayer):
    """Elman network, the drop-in for `torch.nn.RNN`.

        h_t = g(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)         (Elman 1990)

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction; or one number for each layer.
        num_layers: L, layers on top of each other.
        nonlinearity: g: `"tanh"`, `"relu"`, another name in `cells.NONLINEARITIES`, or any
            pointwise function of torch.
        bias: whether the cells have biases.
        batch_first: inputs and outputs are [B, T, ·]; states stay [L*D, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end.
        device: where the parameters are.
        dtype: of the parameters.
        **options: as of `TorchLayer`: input_dropout, residual, learn_initial, layer_norm,
            recurrent_dropout, zoneout.

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
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str | Callable[[Tensor], Tensor] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ) -> None:
        check_nonlinearity(nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            **options,
        )
        self.nonlinearity = nonlinearity

    def _cell(self, weights: dict[str, Tensor]) -> cells.Elman:
        return cells.Elman(**weights, nonlinearity=self.nonlinearity)

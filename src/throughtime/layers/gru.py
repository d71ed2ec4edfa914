"""The GRU layer: `torch.nn.GRU` by name, argument, parameter and number."""

from __future__ import annotations

from torch import Tensor

from throughtime import cells
from throughtime.layers.recurrent import Recurrent


class GRU(Recurrent):
    """Gated recurrent unit, the drop-in for `torch.nn.GRU`; equations in `cells.GRU`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction.
        num_layers: L, layers on top of each other.
        bias: whether the cells have biases.
        batch_first: inputs and outputs are [B, T, ·]; states stay [L*D, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end.
        device: where the parameters are.
        dtype: of the parameters.

    Raises:
        OptionError: an argument has the wrong type or range.

    Example:
        >>> import torch
        >>> y, h = GRU(2, 4, bidirectional=True)(torch.ones(5, 3, 2))
        >>> tuple(y.shape), tuple(h.shape)
        ((5, 3, 8), (2, 3, 4))
    """

    num_gates = 3

    def _cell(self, weights: dict[str, Tensor]) -> cells.GRU:
        return cells.GRU(**weights)

"""The LSTM layer: `torch.nn.LSTM` by name, argument, parameter and number."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from throughtime import cells
from throughtime.cells import LSTMState, State
from throughtime.layers.checks import to_lstm_state
from throughtime.layers.recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory, the drop-in for `torch.nn.LSTM`; equations in `cells.LSTM`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction.
        num_layers: L, layers on top of each other.
        bias: whether the cells have biases.
        batch_first: inputs and outputs are [B, T, ·]; states stay [L*D, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end.
        proj_size: P, size of the projected output; 0 for none.
        device: where the parameters are.
        dtype: of the parameters.

    Raises:
        OptionError: an argument has the wrong type or range.

    Example:
        >>> import torch
        >>> y, (h, c) = LSTM(2, 4)(torch.ones(5, 3, 2))
        >>> tuple(y.shape), tuple(c.shape)
        ((5, 3, 4), (1, 3, 4))
    """

    num_gates = 4
    has_projection = True
    _state_type = LSTMState

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        return self._output_size, self.hidden_size

    def _cell(self, weights: dict[str, Tensor]) -> cells.LSTM:
        return cells.LSTM(**weights)

    def _to_state(self, hx: Any) -> State:
        return to_lstm_state(hx)

    def _from_state(self, state: State) -> tuple[Tensor, Tensor]:
        return tuple(state)  # type: ignore[return-value]

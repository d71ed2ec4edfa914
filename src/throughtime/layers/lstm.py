"""The LSTM layer: `torch.nn.LSTM` by name, argument, parameter and number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from throughtime import cells
from throughtime.layers.checks import check_type
from throughtime.layers.torch_layer import TorchLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from throughtime.layers.torch_layer import Options


class LSTM(TorchLayer):
    """Long short-term memory, the drop-in for `torch.nn.LSTM`; equations in `cells.LSTM`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction; or one number for each layer.
        num_layers: L, layers on top of each other.
        bias: whether the cells have biases.
        batch_first: inputs and outputs are [B, T, ·]; states stay [L*D, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end.
        proj_size: P, size of the projected output; 0 for none.
        device: where the parameters are.
        dtype: of the parameters.
        peepholes: whether the gates see the cell state (Gers and Schmidhuber 2000).
        coupled: whether the input gate is 1 - the forget gate (Greff et al. 2017).
        **options: as of `TorchLayer`: input_dropout, residual, learn_initial, layer_norm,
            recurrent_dropout, zoneout.

    Raises:
        OptionError: an argument has the wrong type or range.

    Example:
        >>> import torch
        >>> y, (h, c) = LSTM(2, 4)(torch.ones(5, 3, 2))
        >>> tuple(y.shape), tuple(c.shape)
        ((5, 3, 4), (1, 3, 4))
    """

    has_projection = True
    state_fields = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        peepholes: bool = False,
        coupled: bool = False,
        **options: Unpack[Options],
    ) -> None:
        check_type("peepholes", peepholes, bool)
        check_type("coupled", coupled, bool)
        self.peepholes, self.coupled = peepholes, coupled  # the shapes hang on them
        self.num_gates = 3 if coupled else 4
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            **options,
        )

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        shapes = super()._shapes(layer)
        if self.peepholes:
            shapes["peepholes"] = ((self.num_gates - 1) * self._hidden_sizes[layer],)
        return shapes

    def _cell(self, weights: dict[str, Tensor]) -> cells.LSTM:
        return cells.LSTM(**weights, is_coupled=self.coupled)

    def _defaults(self) -> dict[str, Any]:
        return super()._defaults() | {"peepholes": False, "coupled": False}

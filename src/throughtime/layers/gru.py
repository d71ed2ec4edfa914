"""The GRU layer: `torch.nn.GRU` by name, argument, parameter and number."""

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


class GRU(TorchLayer):
    """Gated recurrent unit, the drop-in for `torch.nn.GRU`; equations in `cells.GRU`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction; or one number for each layer.
        num_layers: L, layers on top of each other.
        bias: whether the cells have biases.
        batch_first: inputs and outputs are [B, T, ·]; states stay [L*D, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end.
        device: where the parameters are.
        dtype: of the parameters.
        reset_after: whether the reset gate multiplies the recurrent product, as in `torch.nn`, or
            h before it (Cho et al. 2014, versions 1 and 3).
        **options: as of `TorchLayer`: input_dropout, residual, learn_initial, layer_norm,
            recurrent_dropout, zoneout.

    Raises:
        OptionError: an argument has the wrong type or range.

    Example:
        >>> import torch
        >>> y, h = GRU(2, 4, bidirectional=True)(torch.ones(5, 3, 2))
        >>> tuple(y.shape), tuple(h.shape)
        ((5, 3, 8), (2, 3, 4))
    """

    num_gates = 3

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
        reset_after: bool = True,
        **options: Unpack[Options],
    ) -> None:
        check_type("reset_after", reset_after, bool)
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
        self.reset_after = reset_after

    def _cell(self, weights: dict[str, Tensor]) -> cells.GRU:
        return cells.GRU(**weights, reset_after=self.reset_after)

    def _defaults(self) -> dict[str, Any]:
        return super()._defaults() | {"reset_after": True}

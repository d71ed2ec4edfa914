"""What `RNN`, `LSTM` and `GRU` share: the parameters and states of `torch.nn`, and our options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from throughtime.cells import AnyCell, Zoneout
from throughtime.layers.checks import (
    check_projection,
    check_residual,
    check_share,
    check_torch_state,
    check_type,
    read_sizes,
    read_zoneout,
)
from throughtime.layers.over_parameters import OverParameters
from throughtime.layers.states import States
from throughtime.sequences import Rows, bare

_ONES = ("norm_ih", "norm_hh")
_ZEROS = ("h_0", "c_0")


class Options(TypedDict, total=False):
    """The options that every cell has, beside those of `torch.nn`."""

    input_dropout: float
    residual: bool
    learn_initial: bool
    layer_norm: bool
    recurrent_dropout: float
    zoneout: float | tuple[float, float]


class TorchLayer(OverParameters):
    """Layers with the parameters and the interface of `torch.nn`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction; or one number for each layer.
        num_layers: L, layers on top of each other.
        bias: whether the cells have biases.
        batch_first: whether inputs and outputs are [B, T, ·] instead of [T, B, ·]; states are
            [L*D, B, ·] in any case.
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end (D = 2 instead of 1).
        proj_size: P, size of an LSTM's projected output; 0 for none.
        device: where the parameters are.
        dtype: of the parameters.
        input_dropout: share of input values dropped while training, in [0, 1].
        residual: whether every layer above the first adds its input to its output.
        learn_initial: whether the initial state is a parameter; it begins at zero.
        layer_norm: whether both products of a step are normalised (Ba, Kiros and Hinton 2016).
        recurrent_dropout: share of h dropped before the recurrent product while training, the same
            units for a whole sequence (Gal and Ghahramani 2016).
        zoneout: share of units that stay as they were at a step (Krueger et al. 2017); for an LSTM
            also a pair, of h and of c.

    Raises:
        OptionError: an argument has the wrong type or range.
    """

    num_gates: int
    has_projection = False
    state_fields: tuple[str, ...] = ("h",)
    weight_ih_l0: Tensor

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
        input_dropout: float = 0.0,
        residual: bool = False,
        learn_initial: bool = False,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
    ) -> None:
        check_type("input_size", input_size, int)
        hidden_sizes = read_sizes(input_size, hidden_size, num_layers)
        super().__init__(
            input_size,
            len(hidden_sizes),
            batch_first,
            dropout,
            bidirectional,
            input_dropout=input_dropout,
            residual=residual,
        )
        flags = (("bias", bias), ("learn_initial", learn_initial), ("layer_norm", layer_norm))
        for name, flag in flags:
            check_type(name, flag, bool)
        check_projection(proj_size, min(hidden_sizes), type(self).__name__, self.has_projection)
        check_share("recurrent_dropout", recurrent_dropout)
        self.hidden_size = hidden_size if isinstance(hidden_size, int) else hidden_sizes
        self.bias = bias
        self.proj_size = proj_size
        self.learn_initial = learn_initial
        self.layer_norm = layer_norm
        self.recurrent_dropout = float(recurrent_dropout)
        self.zoneout = read_zoneout(zoneout, self.state_fields)
        self._hidden_sizes = hidden_sizes
        if residual:
            check_residual([self._state_sizes(layer)[0] for layer in range(self.num_layers)])
        # kind and attribute of every weight, for each layer its directions
        self._weight_names = [
            [self._names(layer, direction) for direction in range(self._num_directions)]
            for layer in range(self.num_layers)
        ]
        for layer, directions in enumerate(self._weight_names):
            shapes = self._shapes(layer)
            for kind, name in chain(*directions):
                weight = nn.Parameter(torch.empty(shapes[kind], device=device, dtype=dtype))
                setattr(self, name, weight)
        self.reset_parameters()

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _state_sizes(self, layer: int) -> tuple[int, ...]:
        """Size of each field of a layer's state, the first of them its output."""
        H = self._hidden_sizes[layer]
        return (self.proj_size or H, *[H] * (len(self.state_fields) - 1))

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of one cell's weights, in the order of `torch.nn`; then the options'."""
        H, (outputs, *_) = self._hidden_sizes[layer], self._state_sizes(layer)
        D, rows = self._num_directions, self.num_gates * H
        inputs = self._state_sizes(layer - 1)[0] * D if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, outputs),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes |= {"weight_hr": (self.proj_size, H)}
        if self.layer_norm:
            shapes |= {"norm_ih": (rows,), "norm_hh": (rows,)}
        if self.learn_initial:
            sizes = self._state_sizes(layer)
            shapes |= {
                f"{field}_0": (size,) for field, size in zip(self.state_fields, sizes, strict=True)
            }
        return shapes

    def _names(self, layer: int, direction: int) -> list[tuple[str, str]]:
        ending = f"_l{layer}" + ("_reverse" if direction else "")
        return [(kind, kind + ending) for kind in self._shapes(layer)]

    def reset_parameters(self) -> None:
        """Draws every weight from [-1/sqrt(H), 1/sqrt(H)], in the order of `torch.nn`.

        Gains begin at 1, initial states at 0.
        """
        for H, directions in zip(self._hidden_sizes, self._weight_names, strict=True):
            bound = 1 / math.sqrt(H)
            for kind, name in chain(*directions):
                weight = getattr(self, name)
                if kind in _ONES:
                    nn.init.ones_(weight)
                elif kind in _ZEROS:
                    nn.init.zeros_(weight)
                else:
                    nn.init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: these layers never need their weights in one piece of memory."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The weights of each layer and direction."""
        every = chain(*self._weight_names)
        return [[getattr(self, name) for _, name in names] for names in every]

    def _reference(self) -> Tensor:
        first: Tensor | None = self._parameters.get("weight_ih_l0")  # faster than the attribute
        return self.weight_ih_l0 if first is None else first

    def _cells_for(self, x: Tensor, rows: Rows) -> Sequence[Sequence[AnyCell]]:
        if not self.training or not (self.recurrent_dropout or any(self.zoneout)):
            return self._steady_cells()
        drawn = []
        for index, cells in enumerate(self._plain_cells()):
            if self.recurrent_dropout:
                shape = len(cells), rows.batch(x), self._state_sizes(index)[0]
                ones = torch.ones(shape, dtype=x.dtype, device=x.device)
                masks = map(bare, drop(ones, self.recurrent_dropout))
                cells = [replace(c, mask=m) for c, m in zip(cells, masks, strict=True)]
            if any(self.zoneout):
                keeps = self._draw_keeps(x, index)
                cells = [Zoneout(c, keep) for c, keep in zip(cells, keeps, strict=True)]
            drawn.append(cells)
        return drawn

    def _draw_keeps(self, x: Tensor, layer: int) -> list[tuple[Tensor | float, ...]]:
        """Who stays at every step, for each direction and field of the state."""
        D, sizes = self._num_directions, self._state_sizes(layer)
        fields: list[Sequence[Tensor | float]] = []
        for share, size in zip(self.zoneout, sizes, strict=True):
            if share:
                shape = (*x.shape[:-1], D, size)
                shares = torch.full(shape, share, dtype=x.dtype, device=x.device)
                fields.append(list(map(bare, torch.bernoulli(shares).unbind(-2))))
            else:
                fields.append([0.0] * D)
        return list(zip(*fields, strict=True))

    def _read_state(self, hx: Any, batch: int, x: Tensor) -> States | None:
        if hx is None:
            return self.initial_state(batch) if self.learn_initial else None
        if isinstance(hx, States):
            return super()._read_state(hx, batch, x)
        sizes = {"L*D": self.num_layers * self._num_directions, "B": batch}
        fields = check_torch_state(
            hx, self.state_fields, self._hidden_sizes, self._state_sizes(0), x, sizes
        )
        return States.from_torch(fields if len(fields) > 1 else fields[0], self._num_directions)

    def _write_state(self, states: States, hx: Any) -> Any:
        is_one_size = isinstance(self.hidden_size, int)
        return states.to_torch() if is_one_size and not isinstance(hx, States) else states

    def _sizes(self) -> list[str]:
        return [str(self.input_size), str(self.hidden_size)]

    def _defaults(self) -> dict[str, Any]:
        first = {"proj_size": 0, "num_layers": 1, "bias": True}  # the order of torch.nn
        own = {
            "learn_initial": False,
            "layer_norm": False,
            "recurrent_dropout": 0,
            "zoneout": (0.0,) * len(self.state_fields),
        }
        return first | super()._defaults() | own

"""`RNNCell`, `LSTMCell` and `GRUCell`: one step with its own parameters, as in `torch.nn`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from throughtime import cells
from throughtime.axes import check_shape
from throughtime.cells import AnyCell, HiddenState, State
from throughtime.errors import OptionError, ShapeError
from throughtime.layers.checks import check_like, check_type, match_autocast, to_lstm_state
from throughtime.native.functions import full_precision


class SingleStep(nn.Module):
    """What the three one-step modules share.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units.
        bias: whether the cell has biases.
        device: where the parameters are.
        dtype: of the parameters.
    """

    num_gates: int
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            check_type(name, size, int)
            if size < 0:
                raise OptionError(f"{name} must not be negative, got {size}; pass a size.")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.num_gates * hidden_size
        shapes: dict[str, tuple[int, ...] | None] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,) if bias else None,
            "bias_hh": (rows,) if bias else None,
        }
        for name, shape in shapes.items():
            weight = None if shape is None else torch.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name, None if weight is None else nn.Parameter(weight))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every weight from [-1/sqrt(H), 1/sqrt(H)], in the order of `torch.nn`."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def cells(self) -> list[list[AnyCell]]:
        """The cell over the parameters as they are now, nested as those of a layer are."""
        return [[self._cell()]]

    def _cell(self) -> AnyCell:
        raise NotImplementedError

    def _weights(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _step(self, input: Tensor, state: State | None) -> State:
        """One step of [B, I], or of [I] without a batch."""
        if input.dim() not in (1, 2):
            raise ShapeError(
                f"input must be [B, I] or [I], got {list(input.shape)}; pass one step only."
            )
        x = input if input.dim() == 2 else input.unsqueeze(0)
        check_shape("input", x.shape, "B I", {"I": self.input_size}, "match the cell's input size")
        x, state = match_autocast(x, state, self.weight_ih)
        check_like("input", x, self.weight_ih)
        cell = self._cell()
        if state is None:
            state = cell.initial_state(x.shape[0])
        elif input.dim() == 1:
            state = type(state)(*(field.unsqueeze(0) for field in state))
        sizes = {"B": x.shape[0], "H": self.hidden_size}
        for name, field in zip(state._fields, state, strict=True):
            check_shape(name, field.shape, "B H", sizes, "pass one state per row of the input")
            check_like(name, field, self.weight_ih)
        with full_precision():
            new: State = cell.step(cell.project(x), state)
        return new if input.dim() == 2 else type(new)(*(field.squeeze(0) for field in new))

    def extra_repr(self) -> str:
        """The sizes, and the options that are not at their default."""
        bias = "" if self.bias else f", bias={self.bias}"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(SingleStep):
    """One step of an Elman network, the drop-in for `torch.nn.RNNCell`.

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh)               (or relu)

    Args:
        input_size: I, features of a step.
        hidden_size: H, units.
        bias: whether the cell has biases.
        nonlinearity: `"tanh"` or `"relu"`.
        device: where the parameters are.
        dtype: of the parameters.
    """

    num_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _cell(self) -> cells.Elman:
        return cells.Elman(*self._weights(), nonlinearity=self.nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The new h, [B, H], from x [B, I] and h [B, H], or all without the batch axis."""
        return self._step(input, None if hx is None else HiddenState(hx)).h

    def extra_repr(self) -> str:
        """The sizes, and the options that are not at their default."""
        plain = self.nonlinearity == "tanh"
        return super().extra_repr() + ("" if plain else f", nonlinearity={self.nonlinearity}")


class LSTMCell(SingleStep):
    """One step of an LSTM, the drop-in for `torch.nn.LSTMCell`; equations in `cells.LSTM`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units.
        bias: whether the cell has biases.
        device: where the parameters are.
        dtype: of the parameters.
    """

    num_gates = 4

    def _cell(self) -> cells.LSTM:
        return cells.LSTM(*self._weights())

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The new (h, c), [B, H], from x [B, I] and (h, c) [B, H], or all without the batch."""
        state: Any = self._step(input, None if hx is None else to_lstm_state(hx))
        return state.h, state.c


class GRUCell(SingleStep):
    """One step of a GRU, the drop-in for `torch.nn.GRUCell`; equations in `cells.GRU`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units.
        bias: whether the cell has biases.
        device: where the parameters are.
        dtype: of the parameters.
    """

    num_gates = 3

    def _cell(self) -> cells.GRU:
        return cells.GRU(*self._weights())

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The new h, [B, H], from x [B, I] and h [B, H], or all without the batch axis."""
        return self._step(input, None if hx is None else HiddenState(hx)).h

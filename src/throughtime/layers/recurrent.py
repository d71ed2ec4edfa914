"""What `RNN`, `LSTM` and `GRU` share: parameters, their names, and the way in and out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from throughtime.axes import check_shape
from throughtime.cells import AnyCell, HiddenState, State
from throughtime.errors import ShapeError
from throughtime.layers.checks import (
    check_batch_sizes,
    check_dropout,
    check_like,
    check_projection,
    check_sizes,
    check_type,
    match_autocast,
    refuse_rows,
)
from throughtime.layers.stack import run_stack
from throughtime.native.functions import full_precision
from throughtime.sequences import WHOLE, Rows, read_rows


class Recurrent(nn.Module):
    """Stacked recurrent layers with the parameters and the interface of `torch.nn`.

    Args:
        input_size: I, features of a step.
        hidden_size: H, units of a layer and direction.
        num_layers: L, layers on top of each other.
        bias: whether the cells have biases.
        batch_first: whether inputs and outputs are [B, T, ·] instead of [T, B, ·]; states are
            [L*D, B, ·] in any case.
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end (D = 2 instead of 1).
        proj_size: P, size of an LSTM's projected output; 0 for none.
        device: where the parameters are.
        dtype: of the parameters.

    Raises:
        OptionError: an argument has the wrong type or range.
    """

    num_gates: int
    has_projection = False
    weight_ih_l0: Tensor
    _state_type: type[State] = HiddenState

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            check_type(name, value, int)
        for name, flag in (("bias", bias), ("batch_first", batch_first)):
            check_type(name, flag, bool)
        check_sizes(input_size, hidden_size, num_layers)
        check_projection(proj_size, hidden_size, type(self).__name__, self.has_projection)
        check_dropout(dropout, num_layers)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        # kind and attribute of every weight, for each layer and direction
        self._weight_names: list[list[tuple[str, str]]] = []
        for layer in range(num_layers):
            for direction in range(self._num_directions):
                self._weight_names.append([])
                for kind, shape in self._shapes(layer).items():
                    name = self._name(kind, layer, direction)
                    weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    setattr(self, name, weight)
                    self._weight_names[-1].append((kind, name))
        self.reset_parameters()

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _state_sizes(self) -> tuple[int, ...]:
        return (self.hidden_size,)

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of one cell's weights, in the order of `torch.nn`."""
        inputs = self.input_size if layer == 0 else self._output_size * self._num_directions
        rows = self.num_gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self._output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes |= {"weight_hr": (self.proj_size, self.hidden_size)}
        return shapes

    @staticmethod
    def _name(weight: str, layer: int, direction: int) -> str:
        return f"{weight}_l{layer}" + ("_reverse" if direction else "")

    def reset_parameters(self) -> None:
        """Draws every weight from [-1/sqrt(H), 1/sqrt(H)], in the order of `torch.nn`."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: these layers never need their weights in one piece of memory."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for _, name in names] for names in self._weight_names]

    def cells(self) -> list[list[AnyCell]]:
        """The cells of each layer's directions, over the parameters as they are now."""
        # much faster than attributes; a parametrized weight is not there
        own = cast(dict[str, Tensor], self._parameters)
        found = [
            self._cell({k: own[n] if n in own else getattr(self, n) for k, n in names})
            for names in self._weight_names
        ]
        D = self._num_directions
        return [found[first : first + D] for first in range(0, len(found), D)]

    def _cell(self, weights: dict[str, Tensor]) -> AnyCell:
        raise NotImplementedError

    def _to_state(self, hx: Any) -> State:
        """The user's initial state as a tuple with names."""
        return HiddenState(hx)

    def _from_state(self, state: State) -> Any:
        """A final state in the form of `torch.nn`."""
        return state.h

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Runs the layers over a sequence.

        Steps behind the end of a row change nothing, whatever stands there: their outputs are
        zeros, their inputs receive a gradient of zero, the final state is that after the row's last
        step, and the reverse direction begins there. A row of no steps keeps its initial state.
        Where a row is reset, no state and no gradient passes between its steps t-1 and t.

        Args:
            input: x, [T, B, I]; [B, T, I] with `batch_first`; [T, I] without a batch; or packed.
            hx: initial state, [L*D, B, H], or [L*D, H] without a batch; for an LSTM the pair
                (h_0 [L*D, B, P or H], c_0 [L*D, B, H]). Zeros when None.
            lengths: steps of each row, int64 [B], from 0 to T in any order; T when None.
            reset: where a row begins afresh from zeros, bool [T, B], or [B, T] with
                `batch_first`; nowhere when None.

        Returns:
            output: h of the last layer at every step, in the layout of the input, [..., D*H].
            h_n: final state, in the form of `hx`.

        Raises:
            ShapeError: input, state, lengths or reset have wrong axes, sizes, dtype or device.
            OptionError: lengths or reset come with a packed input or one without a batch.
        """
        state = None if hx is None else self._to_state(hx)
        if isinstance(input, PackedSequence):
            refuse_rows(input, lengths, reset)
            output, final = self._run_packed(input, state)
            return output, self._from_state(final)
        if input.dim() == 2:
            refuse_rows(input, lengths, reset)
            y, final = self._run(input.unsqueeze(1), _map(_add_batch, state))
            return y.squeeze(1), self._from_state(_map(lambda field: field.squeeze(1), final))
        x = input.transpose(0, 1) if self.batch_first else input
        y, final = self._run(x, state, None, lengths, reset)
        return (y.transpose(0, 1) if self.batch_first else y), self._from_state(final)

    def _run_packed(
        self, packed: PackedSequence, state: State | None
    ) -> tuple[PackedSequence, State]:
        """Sorts the states as the packed rows are sorted, and back."""
        data, batch_sizes, order, back = packed
        if not torch.compiler.is_compiling():
            check_batch_sizes(batch_sizes, len(data))
        batch_sizes = batch_sizes.contiguous()
        if order is not None:
            state = _map(lambda field: field.index_select(1, order), state)
        y, final = self._run(data, state, batch_sizes)
        if back is not None:
            final = _map(lambda field: field.index_select(1, back), final)
        return PackedSequence(y, batch_sizes, order, back), final

    def _run(
        self,
        x: Tensor,
        state: State | None,
        batch_sizes: Tensor | None = None,
        lengths: Any = None,
        reset: Any = None,
    ) -> tuple[Tensor, State]:
        """Runs [T, B, I] or packed [N, I], with states [L*D, B, ·] or None for zeros."""
        weight = self.weight_ih_l0
        dropout = self.dropout if self.training else 0.0
        x, state = match_autocast(x, state, weight)
        if not self._fits(x, weight, batch_sizes):
            self._explain_misfit(x, weight, batch_sizes)
        rows = WHOLE if batch_sizes is None else Rows(batch_sizes)
        if lengths is not None or reset is not None:
            rows = read_rows(lengths, reset, x, self.batch_first)
        if state is not None:
            self._check_state(state, {"L*D": len(self._weight_names), "B": rows.batch(x)}, x)
        with full_precision():
            return run_stack(self.cells(), x, state, rows, dropout)

    def _fits(self, x: Tensor, weight: Tensor, batch_sizes: Tensor | None) -> bool:
        """Whether the kernel or the loop can take this input; asked at every call."""
        shape = x.shape
        return (
            len(shape) == (3 if batch_sizes is None else 2)
            and shape[-1] == self.input_size
            and shape[0] > 0
            and x.dtype is weight.dtype
            and x.device == weight.device
        )

    def _explain_misfit(self, x: Tensor, weight: Tensor, batch_sizes: Tensor | None) -> NoReturn:
        axes = "N I" if batch_sizes is not None else "B T I" if self.batch_first else "T B I"
        remedy = f"the layer was made for {self.input_size} features a step"
        shape = x.transpose(0, 1).shape if axes == "B T I" and x.dim() == 3 else x.shape
        check_shape("input", shape, axes, {"I": self.input_size}, remedy)
        check_like("input", x, weight)
        raise ShapeError("input must have at least one step, got T = 0; leave it out.")

    def _check_state(self, state: State, sizes: dict[str, int], x: Tensor) -> None:
        for name, field, width in zip(state._fields, state, self._state_sizes, strict=True):
            remedy = "pass one state per layer, direction and row, or none for zeros"
            check_shape(f"{name}_0", field.shape, "L*D B H", {**sizes, "H": width}, remedy)
            check_like(f"{name}_0", field, x)

    def extra_repr(self) -> str:
        """The sizes, and every option that is not at its default."""
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        options = [
            f"{name}={getattr(self, name)}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return ", ".join([str(self.input_size), str(self.hidden_size), *options])


def _map(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    return None if state is None else type(state)(*map(function, state))


def _add_batch(field: Tensor) -> Tensor:
    if field.dim() != 2:
        raise ShapeError(
            f"hx must be [L*D, H] for an input without a batch, got {list(field.shape)}; "
            "drop its batch axis or give the input one."
        )
    return field.unsqueeze(1)

"""What every layer over time shares: the way in and out, whatever its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.utils.rnn import PackedSequence

from throughtime.axes import check_shape
from throughtime.cells import AnyCell
from throughtime.errors import ShapeError
from throughtime.layers.checks import (
    check_batch_sizes,
    check_dropout,
    check_like,
    check_return_all,
    check_share,
    check_states,
    check_type,
    match_autocast,
    refuse_rows,
)
from throughtime.layers.observer import Observer, Watch
from throughtime.layers.run import Run
from throughtime.layers.stack import run_stack
from throughtime.layers.states import States
from throughtime.layers.steps import Steps
from throughtime.sequences import WHOLE, Rows, read_rows


class Recurrent(nn.Module):
    """Stacked layers of cells over time.

    Args:
        input_size: I, features of a step.
        num_layers: L, layers on top of each other.
        batch_first: whether inputs and outputs are [B, T, ·] instead of [T, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end (D = 2 instead of 1).
        input_dropout: share of input values dropped while training, in [0, 1].
        residual: whether every layer above the first adds its input to its output.

    Raises:
        OptionError: an argument has the wrong type or range.
    """

    _observers: tuple[Observer, ...] = ()

    def __init__(
        self,
        input_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        input_dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        for name, flag in (
            ("batch_first", batch_first),
            ("bidirectional", bidirectional),
            ("residual", residual),
        ):
            check_type(name, flag, bool)
        check_dropout(dropout, num_layers)
        check_share("input_dropout", input_dropout)
        self.input_size = input_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.input_dropout = float(input_dropout)
        self.residual = residual

    def cells(self) -> list[list[AnyCell]]:
        """The cells of each layer's directions, over the parameters as they are now.

        They are those of evaluation: nothing random is in them.
        """
        raise NotImplementedError

    def _cells_for(self, x: Tensor, rows: Rows) -> Sequence[Sequence[AnyCell]]:
        """The cells of one call; while training with what is drawn for it."""
        return self.cells()

    def _reference(self) -> Tensor | None:
        """A weight whose dtype and device the input must have; None where there is none."""
        raise NotImplementedError

    def _read_state(self, hx: Any, batch: int, x: Tensor) -> States | None:
        """The user's initial state; None for zeros."""
        if hx is None:
            return self.initial_state(batch)
        check_states(hx, self.cells(), batch, x)
        return States(hx)

    def _write_state(self, states: States, hx: Any) -> Any:
        """Final states in the form that the user of the initial state hx expects."""
        return states

    def initial_state(self, batch: int) -> States:
        """What a sequence begins with where no state is given: zeros, or the learned state.

        Args:
            batch: B.
        """
        starts = [[cell.initial_state(batch) for cell in directions] for directions in self.cells()]
        return States(
            type(layer[0])(*map(torch.stack, zip(*layer, strict=True))) for layer in starts
        )

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        return_all: bool = False,
    ) -> tuple[Any, ...]:
        """Runs the layers over a sequence.

        Steps behind the end of a row change nothing, whatever stands there: their outputs are
        zeros, their inputs receive a gradient of zero, the final state is that after the row's last
        step, and the reverse direction begins there. A row of no steps keeps its initial state.
        Where a row is reset, no state and no gradient passes between its steps t-1 and t.

        Args:
            input: x, [T, B, I]; [B, T, I] with `batch_first`; [T, I] without a batch; or packed.
            hx: initial state: `States`; for layers of `torch.nn`'s names also [L*D, B, H], or
                [L*D, H] without a batch, and for an LSTM the pair (h_0 [L*D, B, P or H],
                c_0 [L*D, B, H]). What `initial_state` gives when None.
            lengths: steps of each row, int64 [B], from 0 to T in any order; T when None.
            reset: where a row begins afresh from the initial state, bool [T, B], or [B, T] with
                `batch_first`; nowhere when None.
            return_all: whether to return everything the layers computed on the way.

        Returns:
            output: h of the last layer at every step, in the layout of the input, [..., D*H].
            h_n: final state, in the form of `hx`.
            steps: with `return_all` only: the `Steps` of every layer, states, gates and
                pre-activations [T, B, D, H].

        Raises:
            ShapeError: input, state, lengths or reset have wrong axes, sizes, dtype or device.
            OptionError: lengths or reset come with a packed input or one without a batch;
                return_all comes with a packed input.
        """
        if return_all is not False:
            check_return_all(return_all, input)
        runs: list[Run] | None = [] if return_all else None
        if isinstance(input, PackedSequence):
            refuse_rows(input, lengths, reset)
            return self._run_packed(input, hx)
        if input.dim() == 2:
            refuse_rows(input, lengths, reset)
            is_bare = hx is not None and not isinstance(hx, States)
            hx = _map(_add_batch, hx) if is_bare else hx
            y, final = self._run(input.unsqueeze(1), hx, runs=runs)
            if not isinstance(final, States):
                final = _map(_without_batch, final)
            layout: Callable[[Tensor], Tensor] = _without_batch
        else:
            layout = _swap if self.batch_first else _as_it_is
            y, final = self._run(layout(input), hx, None, lengths, reset, runs)
        if runs is None:
            return layout(y), final
        return layout(y), final, tuple(Steps(run, layout) for run in runs)

    def _run_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """Sorts the states as the packed rows are sorted, and back."""
        data, batch_sizes, order, back = packed
        if not torch.compiler.is_compiling():
            check_batch_sizes(batch_sizes, len(data))
        batch_sizes = batch_sizes.contiguous()
        if order is not None:
            hx = _map(lambda field: field.index_select(1, order), hx)
        y, final = self._run(data, hx, batch_sizes, order=back)
        if back is not None:
            final = _map(lambda field: field.index_select(1, back), final)
        return PackedSequence(y, batch_sizes, order, back), final

    def _run(
        self,
        x: Tensor,
        hx: Any,
        batch_sizes: Tensor | None = None,
        lengths: Any = None,
        reset: Any = None,
        runs: list[Run] | None = None,
        order: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Runs [T, B, I] or packed [N, I], and shows it to those who look on."""
        weight = self._reference()
        device = "cpu" if x.is_cpu else x.device.type
        if torch.is_autocast_enabled(device):  # recurrence runs in the precision of its weights
            x, hx = (x, hx) if weight is None else match_autocast(x, hx, weight)
            with torch.autocast(device, enabled=False):
                return self._run(x, hx, batch_sizes, lengths, reset, runs, order)
        if not self._fits(x, weight, batch_sizes):
            self._explain_misfit(x, weight, batch_sizes)
        rows = WHOLE if batch_sizes is None else Rows(batch_sizes)
        if lengths is not None or reset is not None:
            rows = read_rows(lengths, reset, x, self.batch_first)
        states = self._read_state(hx, rows.batch(x), x)
        if self.input_dropout and self.training:
            x = drop(x, self.input_dropout)
        dropout = self.dropout if self.training else 0.0
        cells = self._cells_for(x, rows)
        watch = None
        if self._observers:
            observers = [observer for observer in self._observers if observer.wants()]
            watch = Watch(observers) if observers else None
        y, final = run_stack(cells, x, states, rows, dropout, self.residual, runs, watch)
        if watch is not None:
            watch.show(order)
        return y, self._write_state(final, hx)

    def _fits(self, x: Tensor, weight: Tensor | None, batch_sizes: Tensor | None) -> bool:
        """Whether the kernel or the loop can take this input; asked at every call."""
        shape = x.shape
        return (
            len(shape) == (3 if batch_sizes is None else 2)
            and shape[-1] == self.input_size
            and shape[0] > 0
            and (weight is None or (x.dtype is weight.dtype and x.device == weight.device))
        )

    def _explain_misfit(
        self, x: Tensor, weight: Tensor | None, batch_sizes: Tensor | None
    ) -> NoReturn:
        axes = "N I" if batch_sizes is not None else "B T I" if self.batch_first else "T B I"
        remedy = f"the layer was made for {self.input_size} features a step"
        shape = x.transpose(0, 1).shape if axes == "B T I" and x.dim() == 3 else x.shape
        check_shape("input", shape, axes, {"I": self.input_size}, remedy)
        if weight is not None:
            check_like("input", x, weight)
        raise ShapeError("input must have at least one step, got T = 0; leave it out.")

    def extra_repr(self) -> str:
        """The sizes, and every option that is not at its default."""
        own = vars(self)
        options = [f"{n}={own[n]}" for n, default in self._defaults().items() if own[n] != default]
        return ", ".join([*self._sizes(), *options])

    def _sizes(self) -> list[str]:
        return [str(self.input_size)]

    def _defaults(self) -> dict[str, Any]:
        """The options that are told where they differ from these values."""
        return {
            "num_layers": 1,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
            "input_dropout": 0,
            "residual": False,
        }


def _map(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same form of state with every tensor replaced."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, States):
        return state.map(function)
    return tuple(map(function, state)) if isinstance(state, tuple | list) else state


def _as_it_is(sequence: Tensor) -> Tensor:
    return sequence


def _swap(sequence: Tensor) -> Tensor:
    return sequence.transpose(0, 1)


def _without_batch(sequence: Tensor) -> Tensor:
    return sequence.squeeze(1)


def _add_batch(field: Tensor) -> Tensor:
    if field.dim() != 2:
        raise ShapeError(
            f"hx must be [L*D, H] for an input without a batch, got {list(field.shape)}; "
            "drop its batch axis or give the input one."
        )
    return field.unsqueeze(1)

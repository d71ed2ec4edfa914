"""A session: a stack of layers that remembers from step to step, in the kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from throughtime.errors import OptionError, ShapeError
from throughtime.native import _kernels
from throughtime.native.weights import (
    ARRAYS,
    Array,
    LayerWeights,
    Readout,
    check_weights,
    described,
)
from throughtime.native.weights_file import write_weights

MOST_ROWS = 2**31 - 1
_NATIVE = {"float32": _kernels.Session32, "float64": _kernels.Session64}


class LayerState(NamedTuple):
    """What one layer remembers; c is None but for an LSTM."""

    h: Array  # [rows, H], or [rows, P] with a projection
    c: Array | None = None  # [rows, H]


class Snapshot(NamedTuple):
    """The state of a session at one moment, for `Session.restore`."""

    numbers: Array  # all states one after the other
    sizes: tuple[tuple[str, int], ...]  # of every field of every layer: "cell.field" and size
    rows: int


class Session:
    """A stack of recurrent layers, and a linear readout, that remember from step to step.

        h_t = layers(x_t, h_{t-1}),   y_t = W h_t + b        (y_t = h_t without a readout)

    A session owns a copy of its weights; training the model later does not change it. Several
    Python threads may call one session: steps then come one after the other.

    Args:
        layers: from the input upwards.
        readout: W and b, or None.
        rows: streams that run side by side.

    Raises:
        ShapeError: the weights do not fit each other.
        OptionError: an unknown cell, or rows that are no number of streams.
    """

    def __init__(
        self, layers: Sequence[LayerWeights], readout: Readout | None = None, rows: int = 1
    ) -> None:
        check_rows(rows)
        self._layers = [LayerWeights(*layer) for layer in layers]
        self._readout = readout
        check_weights(self._layers, readout)
        self.dtype = self._layers[0].weight_ih.dtype
        self.rows = int(rows)
        self.num_inputs = int(self._layers[0].weight_ih.shape[1])
        top = self._layers[-1].output_size if readout is None else readout.weight.shape[0]
        self.num_outputs = int(top)
        self._native: Any = _NATIVE[self.dtype.name](self.rows)
        for layer in self._layers:
            keep_h, keep_c = (*layer.keep, 0.0, 0.0)[:2]
            arrays = {name: _dense(getattr(layer, name)) for name in ARRAYS}
            self._native.add_layer(
                layer.cell,
                **arrays,
                keep_h_share=keep_h,
                keep_c_share=keep_c,
                nonlinearity=layer.nonlinearity,
            )
        if readout is not None:
            self._native.add_readout(*map(_dense, readout))

    def step(self, x: Array, out: Array | None = None) -> Array:
        """Feeds one step and gives its output.

        Args:
            x: [I], or [rows, I], in the session's dtype.
            out: where to write y, C-contiguous, so that nothing is allocated; None for a new
                array.

        Returns:
            y: [O] for an x without rows, or [rows, O]; `out` if it was given.

        Raises:
            ShapeError: x or out have another shape or dtype.
        """
        if not isinstance(x, np.ndarray):
            x = self._checked(x)
        if out is None:
            out = np.empty((*x.shape[:-1], self.num_outputs), self.dtype)
        try:
            self._native.step(x, out)
        except (TypeError, ValueError):
            self._native.step(self._checked(x), self._checked_out(out))
        return out

    def _checked(self, x: Array) -> Array:
        shapes = [(self.rows, self.num_inputs), *[(self.num_inputs,)] * (self.rows == 1)]
        if not isinstance(x, np.ndarray) or x.shape not in shapes or x.dtype != self.dtype:
            raise ShapeError(
                f"x must be a numpy array {' or '.join(map(str, map(list, shapes)))} of "
                f"{self.dtype}, got {described(x)}; convert it."
            )
        return np.ascontiguousarray(x)

    def _checked_out(self, out: Array) -> Array:
        size = self.rows * self.num_outputs
        usable = isinstance(out, np.ndarray) and out.flags.c_contiguous and out.flags.writeable
        if not usable or out.size != size or out.dtype != self.dtype:
            raise ShapeError(
                f"out must be a writable C-contiguous numpy array {[self.rows, self.num_outputs]} "
                f"of {self.dtype}, got {described(out)}; make it with numpy.empty."
            )
        return out

    def reset(self, rows: int | Iterable[int] | Array | None = None) -> None:
        """Sets states to zero, or to what a layer has learned to begin with.

        Args:
            rows: which streams, by index or as a mask [rows] of bool; None for all.

        Raises:
            ShapeError: there is no such row.
        """
        try:
            chosen = np.arange(self.rows)[slice(None) if rows is None else _index(rows)]
        except IndexError as error:
            raise ShapeError(
                f"rows must be indices below {self.rows} or a mask of {self.rows}, got {rows}; "
                "pass rows that the session has."
            ) from error
        self._native.reset(np.atleast_1d(chosen).tolist())

    @property
    def state(self) -> tuple[Any, ...]:
        """A copy of what every layer remembers, from the input upwards.

        A `LayerState` each; the state of your own cell is the named tuple that it has.
        """
        numbers, states, at = self._numbers(), [], 0
        for kind, widths in self._fields():
            fields = []
            for width in widths:
                fields.append(numbers[at : at + self.rows * width].reshape(self.rows, width))
                at += self.rows * width
            states.append(kind(*fields))
        return tuple(states)

    def _fields(self) -> list[tuple[Callable[..., Any], tuple[int, ...]]]:
        """Of every layer what makes its state, and the sizes of the fields."""
        return [(LayerState, tuple(layer.state_sizes.values())) for layer in self._layers]

    def snapshot(self) -> Snapshot:
        """The state as one value, to come back to."""
        return Snapshot(self._numbers(), self._sizes(), self.rows)

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to a snapshot of this session, or of one of the same sizes.

        Raises:
            ShapeError: the snapshot is of other sizes.
        """
        if (snapshot.sizes, snapshot.rows) != (self._sizes(), self.rows):
            raise ShapeError(
                f"snapshot must be of layers {self._sizes()} and {self.rows} rows, got "
                f"{snapshot.sizes} and {snapshot.rows}; take it from a session of the same sizes."
            )
        self._native.write_state(np.ascontiguousarray(snapshot.numbers, self.dtype))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes weights and sizes, not the state, as one safetensors file for `load`.

        Raises:
            DataError: there is a file of that name already.
        """
        write_weights(Path(path), self._layers, self._readout, self.rows)

    def _numbers(self) -> Array:
        numbers = np.empty(self._native.state_size, self.dtype)
        self._native.read_state(numbers)
        return numbers

    def _sizes(self) -> tuple[tuple[str, int], ...]:
        return tuple(
            (f"{layer.cell}.{name}", size)
            for layer in self._layers
            for name, size in layer.state_sizes.items()
        )


def check_rows(rows: Any) -> None:
    """Refuses what is no number of streams.

    Raises:
        OptionError: as said.
    """
    is_whole = isinstance(rows, int | np.integer) and not isinstance(rows, bool)
    if not is_whole or not 1 <= rows <= MOST_ROWS:
        raise OptionError(
            f"rows must be a whole number from 1 to {MOST_ROWS}, got {repr(rows)[:80]}; pass "
            "the number of streams."
        )


def _dense(value: Any) -> Any:
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


def _index(rows: Any) -> Any:
    return rows if isinstance(rows, int) else np.asarray(rows if len(rows) else np.array([], int))

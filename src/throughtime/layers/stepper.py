"""One step per call in torch, for stacks whose cells have no compiled twin to stream."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from throughtime.cells import AnyCell
from throughtime.errors import ShapeError
from throughtime.layers.recurrent import Recurrent
from throughtime.native.functions import full_precision

Array = NDArray[Any]
FLOATS = (torch.float32, torch.float64)


class _Rung(NamedTuple):
    """One layer of a stack."""

    cell: AnyCell
    is_residual: bool


class Stepper:
    """The cells of a stack in evaluation mode, over a copy of their weights, and their states.

    It does for any cell what the kernels' sessions do for theirs; calls of several threads come
    one after the other.

    Args:
        parts: recurrent layers of one direction, from the input upwards.
        readout: what makes the output of the last h, or None.
        rows: streams side by side.

    Raises:
        ShapeError: sizes or dtypes do not fit each other.
    """

    def __init__(self, parts: Sequence[Recurrent], readout: nn.Linear | None, rows: int) -> None:
        modules = [*parts, *([] if readout is None else [readout])]
        self._model = copy.deepcopy(nn.ModuleList(modules)).cpu().eval().requires_grad_(False)
        own: list[Any] = list(self._model)
        self._readout = None if readout is None else own.pop()
        self._rungs = [
            _Rung(cell, part.residual and index > 0)
            for part in own
            for index, (cell,) in enumerate(part.cells())
        ]
        self._start = [rung.cell.initial_state(rows) for rung in self._rungs]
        self._states = self._start
        self._lock = Lock()
        self.rows = rows
        self.reset(range(rows))  # copies: a step may write to what it is given
        self.num_inputs = parts[0].input_size
        self.num_outputs = self._check_sizes(parts)
        self.dtype = self._check_dtype()

    def _check_sizes(self, parts: Sequence[Recurrent]) -> int:
        """Refuses layers that cannot follow each other; gives the width of the output."""
        width, at = parts[0].input_size, 0
        for part in parts:
            _check_inputs(type(part).__name__, part.input_size, width)
            at += part.num_layers
            width = self._start[at - 1][0].shape[1]
        if self._readout is None:
            return width
        _check_inputs("readout", self._readout.in_features, width)
        return int(self._readout.out_features)

    def _check_dtype(self) -> np.dtype[Any]:
        numbers = [*self._model.parameters(), *self._model.buffers(), *self._fields()]
        found = {tensor.dtype for tensor in numbers if tensor.is_floating_point()}
        if len(found) != 1 or not found <= set(FLOATS):
            names = " and ".join(sorted(str(dtype)[6:] for dtype in found))
            raise ShapeError(
                f"weights and states must all be float32 or all float64, got {names}; convert the "
                "model with .to(dtype)."
            )
        return np.dtype(str(found.pop())[6:])

    @property
    def kinds(self) -> list[tuple[str, type[Any]]]:
        """Of every layer the name of its cell and the type of its state."""
        pairs = zip(self._rungs, self._start, strict=True)
        return [(type(rung.cell).__name__, type(state)) for rung, state in pairs]

    @property
    def widths(self) -> list[tuple[int, ...]]:
        """Of every layer the sizes of its state's fields."""
        return [tuple(field.shape[1] for field in state) for state in self._start]

    @property
    def state_size(self) -> int:
        """Numbers in all states."""
        return self.rows * sum(map(sum, self.widths))

    @torch.no_grad()
    def step(self, x: Array, out: Array) -> None:
        """Writes the output for x, [rows, I] or [I], and keeps the new states."""
        h = torch.tensor(x, device="cpu")  # a copy: a state may hold on to it
        h = h.reshape(self.rows, self.num_inputs)
        with self._lock, full_precision():
            states = []
            for rung, state in zip(self._rungs, self._states, strict=True):
                states.append(rung.cell.step(rung.cell.project(h), state))
                h = states[-1][0] + h if rung.is_residual else states[-1][0]
            y = h if self._readout is None else self._readout(h)
            self._states = states
        out.reshape(self.rows, self.num_outputs)[...] = y.numpy()

    def reset(self, rows: Sequence[int]) -> None:
        """These rows begin afresh from the cells' initial states."""
        chosen = torch.zeros(self.rows, 1, dtype=torch.bool, device="cpu")
        chosen[list(rows)] = True
        with self._lock:
            self._states = [
                type(state)(
                    *(torch.where(chosen, *pair) for pair in zip(start, state, strict=True))
                )
                for start, state in zip(self._start, self._states, strict=True)
            ]

    def read_state(self, numbers: Array) -> None:
        """Writes all states, field after field, to one array."""
        with self._lock:
            fields = self._fields()
        np.concatenate([field.numpy().ravel() for field in fields], out=numbers)

    def write_state(self, numbers: Array) -> None:
        """Takes all states from one array as `read_state` wrote it."""
        sizes = [field.numel() for field in self._fields()]
        left = list(torch.split(torch.tensor(numbers, device="cpu"), sizes))
        with self._lock:
            self._states = [
                type(state)(*(left.pop(0).view(field.shape) for field in state))
                for state in self._states
            ]

    def _fields(self) -> list[Tensor]:
        return [field for state in self._states for field in state]


def _check_inputs(name: str, expected: int, width: int) -> None:
    if expected != width:
        raise ShapeError(
            f"the inputs of {name} must be the {width} outputs of the layer below, got {expected}; "
            "make them agree."
        )

"""The weights of a stack of layers as plain arrays: what a stream runs on, without torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import OptionError, ShapeError
from throughtime.native import _kernels
from throughtime.native.compiled import KERNELS

Array = NDArray[Any]


class LayerWeights(NamedTuple):
    """One layer as plain arrays: the cell's name, weights as torch keeps them, two options.

    G, and Q for an LSTM, are those of the cell (`compiled.KERNELS`); P is H without a projection.
    """

    cell: str  # of KERNELS
    weight_ih: Array  # [G*H, I]
    weight_hh: Array  # [G*H, P]
    bias_ih: Array | None  # [G*H]
    bias_hh: Array | None  # [G*H]
    peepholes: Array | None = None  # [Q*H], of an LSTM
    weight_hr: Array | None = None  # [P, H], of an LSTM that projects h
    nonlinearity: str = "tanh"  # g of the cell elman
    keep: tuple[float, ...] = ()  # shares that zoneout keeps, of h and of an LSTM's c; or none

    @property
    def hidden_size(self) -> int:
        """H."""
        return int((self.weight_hh if self.weight_hr is None else self.weight_hr).shape[1])

    @property
    def output_size(self) -> int:
        """P, the size of h."""
        return int(self.weight_hh.shape[1])

    @property
    def state_sizes(self) -> dict[str, int]:
        """The sizes of h and, of an LSTM, c."""
        h = {"h": self.output_size}
        return h | {"c": self.hidden_size} if KERNELS[self.cell].has_cell_state else h


ARRAYS = LayerWeights._fields[1:7]
"""The fields of a layer that are arrays."""

_NEVER_ABSENT = ("weight_ih", "weight_hh", "readout weight")


class Readout(NamedTuple):
    """y = W h + b."""

    weight: Array  # [O, H]
    bias: Array | None  # [O]


def check_weights(layers: Sequence[LayerWeights], readout: Readout | None) -> None:
    """Refuses weights that do not fit each other.

    Raises:
        ShapeError: a shape or dtype is wrong.
        OptionError: no layer, an unknown cell, or an option that it does not have.
    """
    if not layers:
        raise OptionError("layers must be one or more, got none; pass a recurrent layer.")
    dtype, width = _dtype(layers[0].weight_ih), layers[0].weight_ih.shape[-1]
    for layer in layers:
        _check_options(layer)
        for name, shape in _shapes(layer, width).items():
            _check_array(name, getattr(layer, name), shape, dtype)
        width = layer.output_size
    if readout is not None:
        O = _size_of("readout weight", readout.weight, axis=0)  # noqa: E741
        _check_array("readout weight", readout.weight, (O, width), dtype)
        _check_array("readout bias", readout.bias, (O,), dtype)


def _check_options(layer: LayerWeights) -> None:
    """Refuses what the cell does not know, or cannot have."""
    _check_known("cell", layer.cell, KERNELS)
    kernel = KERNELS[layer.cell]
    known = _kernels.nonlinearities() if layer.cell == "elman" else [kernel.nonlinearity]
    _check_known(f"nonlinearity of {layer.cell}", layer.nonlinearity, known)
    for name in ("peepholes", "weight_hr"):
        if getattr(layer, name) is not None and not kernel.has_cell_state:
            raise OptionError(f"{name} must be of an LSTM, got one of {layer.cell}; leave it out.")
    if len(layer.keep) not in (0, kernel.num_states) or not all(map(_is_share, layer.keep)):
        raise OptionError(
            f"keep of {layer.cell} must be {kernel.num_states} shares from 0 to 1, or none, got "
            f"{str(layer.keep)[:80]}; pass one for each field of the state."
        )


def _check_known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        names = ", ".join(known)
        raise OptionError(f"{what} must be one of {names}, got {str(name)[:80]!r}; choose one.")


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _shapes(layer: LayerWeights, width: int) -> dict[str, tuple[int, ...]]:
    """Of every array the shape that fits the sizes H and P, over a layer of that width."""
    kernel = KERNELS[layer.cell]
    P = _size_of("weight_hh", layer.weight_hh)
    H = P if layer.weight_hr is None else _size_of("weight_hr", layer.weight_hr)
    if layer.weight_hr is not None and P >= H:
        raise ShapeError(
            f"weight_hr must project H to fewer values, got {P} of {H}; leave it out or change it."
        )
    rows = kernel.num_gates * H
    return {
        "weight_ih": (rows, width),
        "weight_hh": (rows, P),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
        "peepholes": (kernel.num_peepholes * H,),
        "weight_hr": (P, H),
    }


def _size_of(name: str, array: Any, axis: int = -1) -> int:
    """A size of a matrix that other sizes hang on; never 0."""
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[axis] == 0:
        raise ShapeError(
            f"{name} must be a matrix with at least one row and column, got {described(array)}; "
            "pass one."
        )
    return int(array.shape[axis])


def _check_array(name: str, array: Array | None, shape: tuple[Any, ...], dtype: Any) -> None:
    if array is None and name not in _NEVER_ABSENT:
        return
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise ShapeError(
            f"{name} must be {list(shape)} of {dtype}, got {described(array)}; make it fit."
        )


def _dtype(array: Any) -> Any:
    dtype = getattr(array, "dtype", None)
    if str(dtype) not in ("float32", "float64") or array.ndim != 2:
        raise ShapeError(
            f"weights must be arrays of float32 or float64, got {described(array)}; convert them."
        )
    return dtype


def described(value: Any) -> str:
    """Shape and dtype of an array, or the type of what is none."""
    if isinstance(value, np.ndarray):
        return f"{list(value.shape)} of {value.dtype}"
    return type(value).__name__

"""The weights of a stack of layers as plain arrays: what a stream runs on, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import OptionError, ShapeError

Array = NDArray[Any]
NUM_GATES = {"elman_tanh": 1, "elman_relu": 1, "lstm": 4, "gru": 3}


class LayerWeights(NamedTuple):
    """One layer as plain arrays: the cell's name, then weights as torch keeps them."""

    cell: str  # elman_tanh, elman_relu, lstm or gru
    weight_ih: Array  # [G*H, I]
    weight_hh: Array  # [G*H, H]
    bias_ih: Array | None  # [G*H]
    bias_hh: Array | None  # [G*H]


class Readout(NamedTuple):
    """y = W h + b."""

    weight: Array  # [O, H]
    bias: Array | None  # [O]


def check_weights(layers: Sequence[LayerWeights], readout: Readout | None) -> None:
    """Refuses weights that do not fit each other.

    Raises:
        ShapeError: a shape or dtype is wrong.
        OptionError: no layer, or an unknown cell.
    """
    if not layers:
        raise OptionError("layers must be one or more, got none; pass a recurrent layer.")
    dtype, width = _dtype(layers[0].weight_ih), layers[0].weight_ih.shape[-1]
    for layer in layers:
        if layer.cell not in NUM_GATES:
            known = ", ".join(NUM_GATES)
            raise OptionError(f"cell must be one of {known}, got {layer.cell!r}; choose one.")
        H = _size_of("weight_hh", layer.weight_hh)
        rows = NUM_GATES[layer.cell] * H
        for name, shape in zip(
            LayerWeights._fields[1:], ((rows, width), (rows, H), (rows,), (rows,)), strict=True
        ):
            _check_array(name, getattr(layer, name), shape, dtype)
        width = H
    if readout is not None:
        O = _size_of("readout weight", readout.weight, axis=0)  # noqa: E741
        _check_array("readout weight", readout.weight, (O, width), dtype)
        _check_array("readout bias", readout.bias, (O,), dtype)


def _size_of(name: str, array: Any, axis: int = -1) -> int:
    """A size of a matrix that other sizes hang on; never 0."""
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[axis] == 0:
        raise ShapeError(
            f"{name} must be a matrix with at least one row and column, got {described(array)}; "
            "pass one."
        )
    return int(array.shape[axis])


def _check_array(name: str, array: Array | None, shape: tuple[Any, ...], dtype: Any) -> None:
    if array is None and "bias" in name:
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

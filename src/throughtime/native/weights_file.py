"""A stack of layers on disk: one safetensors file of weights and sizes, read with suspicion.

The tensors are `layers.K.NAME`, NAME an array of `LayerWeights`, from the input upwards (K = 0),
and `readout.weight`, `readout.bias`; what a layer does not have is left out. All are float32, or
all float64. The metadata hold, under "throughtime.stream", JSON:

    version   2
    cells     the name of every layer's cell
    options   of every layer an object: its "nonlinearity" and "keep"
    rows      streams side by side when it was saved

Version 1 is the same without options: they are the defaults of `LayerWeights`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from throughtime.errors import DataError, OptionError, ShapeError
from throughtime.native.weights import ARRAYS, LayerWeights, Readout, check_weights

FORMAT = "throughtime.stream"
VERSION = 2


def write_weights(
    path: Path, layers: Sequence[LayerWeights], readout: Readout | None, rows: int
) -> None:
    """Writes layers, readout and the number of rows as one new file.

    Raises:
        DataError: there is a file of that name already.
    """
    from safetensors.numpy import save

    if path.exists():
        raise DataError(f"{path} must not exist yet, it does; choose another name.")
    named = {
        **{_name(index, name): getattr(layer, name) for index, name, layer in _fields(layers)},
        **{f"readout.{name}": getattr(readout, name, None) for name in Readout._fields},
    }
    tensors = {name: np.ascontiguousarray(a) for name, a in named.items() if a is not None}
    about = {
        "version": VERSION,
        "cells": [layer.cell for layer in layers],
        "options": [{name: getattr(layer, name) for name in _OPTIONS} for layer in layers],
        "rows": rows,
    }
    content = save(tensors, {FORMAT: json.dumps(about)})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(temporary, path)


def read_weights(
    path: str | os.PathLike[str],
) -> tuple[list[LayerWeights], Readout | None, Any]:
    """Layers, readout and rows out of a file of `write_weights`; the rows are not checked.

    Raises:
        DataError: the file is missing, damaged, or none of these.
    """
    about, tensors = _read(path)
    if not isinstance(about, dict) or about.get("version") not in (1, VERSION):
        raise DataError(
            f"{path} must be a session of format {FORMAT} {VERSION}, its header says "
            f"{str(about)[:80]}; save it with the version you load it with."
        )
    cells = about.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, str) for cell in cells):
        raise DataError(
            f"{path} must be a saved session with a list of cells, its header says "
            f"{str(cells)[:80]}; save it again."
        )
    layers = [
        LayerWeights(cell, *(tensors.pop(_name(i, name), None) for name in ARRAYS), **own)
        for i, (cell, own) in enumerate(zip(cells, _options(path, about), strict=True))
    ]
    weight, bias = (tensors.pop(f"readout.{name}", None) for name in Readout._fields)
    if tensors or (weight is None and bias is not None):
        raise DataError(
            f"{path} must be a saved session, it holds more than its layers: "
            f"{str(next(iter(tensors), 'readout.bias'))[:80]}; save it again."
        )
    readout = None if weight is None else Readout(weight, bias)
    try:
        check_weights(layers, readout)
    except (ShapeError, OptionError) as error:
        raise DataError(f"{path} must be a saved session, its parts do not fit: {error}") from error
    return layers, readout, about.get("rows")


_OPTIONS = ("nonlinearity", "keep")


def _options(path: str | os.PathLike[str], about: dict[str, Any]) -> list[dict[str, Any]]:
    """Of every layer what it has beside its arrays; the values are checked with the arrays."""
    num_layers = len(about["cells"])
    if about["version"] == 1:
        return [{}] * num_layers
    options = about.get("options")
    if (
        not isinstance(options, list)
        or len(options) != num_layers
        or not all(isinstance(own, dict) and own.keys() == set(_OPTIONS) for own in options)
        or not all(isinstance(own["keep"], list) for own in options)
    ):
        raise DataError(
            f"{path} must be a saved session with the options {' and '.join(_OPTIONS)} of every "
            f"layer, its header says {str(options)[:80]}; save it again."
        )
    return [own | {"keep": tuple(own["keep"])} for own in options]


def _name(index: int, name: str) -> str:
    return f"layers.{index}.{name}"


def _fields(layers: Sequence[LayerWeights]) -> list[tuple[int, str, LayerWeights]]:
    return [(index, name, layer) for index, layer in enumerate(layers) for name in ARRAYS]


def _read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any]]:
    """What the header says, and the tensors; nothing in the file is unpickled."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {}).get(FORMAT, "null"))
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}
            # numpy knows not every type that a file may have
            tensors = {n: file.get_tensor(n) for n, kind in types.items() if kind in _TYPES}
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} must be a saved session, it cannot be read: {error}") from error
    for name in types.keys() - tensors.keys():
        raise DataError(
            f"{path} must be a saved session in float32 or float64, {str(name)[:80]} is of "
            f"{types[name]}; save it again."
        )
    return about, tensors


_TYPES = ("F32", "F64")

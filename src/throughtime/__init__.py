"""Recurrent networks for PyTorch: fast on a CPU, right for any cell, open to look into.

    >>> import torch, throughtime as tt
    >>> y, (h, c) = tt.LSTM(input_size=2, hidden_size=4)(torch.ones(5, 3, 2))
    >>> tuple(y.shape)
    (5, 3, 4)

Names are imported when first used, so that the command line answers before torch is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from throughtime import init as init
    from throughtime import stream as stream
    from throughtime.cells import Cell as Cell
    from throughtime.instruments import FlightRecorder as FlightRecorder
    from throughtime.instruments import Keep as Keep
    from throughtime.instruments import watch as watch
    from throughtime.layers import GRU as GRU
    from throughtime.layers import LSTM as LSTM
    from throughtime.layers import RNN as RNN
    from throughtime.layers import GRUCell as GRUCell
    from throughtime.layers import Layer as Layer
    from throughtime.layers import LSTMCell as LSTMCell
    from throughtime.layers import RNNCell as RNNCell
    from throughtime.layers import States as States
    from throughtime.layers import convert as convert
    from throughtime.onnx import export_onnx as export_onnx

__version__ = "0.1.0"

_HOME = dict.fromkeys(
    ["GRU", "LSTM", "Layer", "RNN", "GRUCell", "LSTMCell", "RNNCell", "States", "convert"], "layers"
)
_HOME |= dict.fromkeys(["FlightRecorder", "Keep", "watch"], "instruments")
_HOME["Cell"] = "cells"
_HOME["export_onnx"] = "onnx"
_MODULES = "bptt cells decode errors init instruments layers native stream".split()

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"throughtime.{name}")
    if name in _HOME:
        return getattr(import_module(f"throughtime.{_HOME[name]}"), name)
    raise AttributeError(f"module 'throughtime' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

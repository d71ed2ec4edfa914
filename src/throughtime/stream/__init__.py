"""One step per call, for sequences that never end: `tt.stream(layer)` and what it saved.

    >>> import numpy as np, torch, throughtime as tt
    >>> session = tt.stream(tt.LSTM(2, 4))
    >>> session.step(np.ones(2, np.float32)).shape
    (4,)

The module itself is called, `tt.stream(...)`, and holds `load` for sessions on disk. Neither
`Session` nor `load` needs torch; a stack that the kernels do not know streams in torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from throughtime.errors import DataError, OptionError
from throughtime.native.weights_file import read_weights
from throughtime.stream.session import LayerState, Session, Snapshot, check_rows
from throughtime.stream.torch_session import TorchSession

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LayerState", "Session", "Snapshot", "TorchSession", "load", "open_session"]


def load(path: str | os.PathLike[str], rows: int | None = None) -> Session:
    """The session that `Session.save` wrote, at zero state; torch is not needed.

    Args:
        path: the file; nothing in it is unpickled.
        rows: streams side by side; None for as many as the saved session had.

    Raises:
        DataError: the file is missing, damaged, or no saved session.
        OptionError: rows is no number of streams.
    """
    layers, readout, saved_rows = read_weights(path)
    if rows is not None:
        return Session(layers, readout, rows)
    try:
        return Session(layers, readout, saved_rows)
    except (OptionError, MemoryError) as error:
        raise DataError(f"{path} must be a saved session, its rows do not fit: {error}") from error


def open_session(model: nn.Module | Sequence[nn.Module], rows: int = 1) -> Session:
    """A session that runs a trained model step by step: `tt.stream(model)`.

    Args:
        model: a layer of this library, a sequence of them (a list, `nn.Sequential`), or one that
            ends with an `nn.Linear`, the readout. One direction.
        rows: streams that run side by side.

    Returns:
        A session over a copy of the weights as they are now, on the CPU, in evaluation mode. With
        layer_norm, residual, learn_initial, a function as nonlinearity or cells of your own it
        runs in torch, tens of times slower.

    Raises:
        OptionError: the model holds something else, which is named.
        ShapeError: the layers do not fit each other.
    """
    from throughtime.layers.export import is_compiled, parts_of, plain_weights
    from throughtime.layers.stepper import Stepper

    check_rows(rows)
    parts, linear = parts_of(model)
    if not all(map(is_compiled, parts)):
        return TorchSession(Stepper(parts, linear, int(rows)))
    return Session(*plain_weights(model), rows)


class _Callable(ModuleType):
    """Lets `tt.stream(model)` and `throughtime.stream.load(path)` both be what they say."""

    def __call__(self, model: nn.Module | Sequence[nn.Module], rows: int = 1) -> Session:
        return open_session(model, rows)


sys.modules[__name__].__class__ = _Callable

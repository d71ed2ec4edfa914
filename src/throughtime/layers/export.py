"""The weights of trained layers as plain arrays, for what runs without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from torch import Tensor, nn

from throughtime import cells
from throughtime.errors import OptionError
from throughtime.layers.recurrent import Recurrent

Arrays = tuple[Any, ...]
Model = nn.Module | Sequence[nn.Module]


def parts_of(model: Model) -> tuple[list[Recurrent], nn.Linear | None]:
    """The recurrent layers of a stack that runs forward in time, and its readout.

    Args:
        model: a recurrent layer, or a sequence of them that may end with an `nn.Linear`.

    Raises:
        OptionError: something else is in the model, or nothing.
    """
    parts: list[Any] = [model] if isinstance(model, Recurrent) else _children(model)
    readout = parts.pop() if len(parts) > 1 and isinstance(parts[-1], nn.Linear) else None
    if not parts:
        raise OptionError("layers must be one or more, got none; pass a recurrent layer.")
    for part in parts:
        if not isinstance(part, Recurrent):
            raise OptionError(
                "the model must be made of recurrent layers of this library and end with nn.Linear "
                f"or nothing, got {type(part).__name__}; pass the layers alone."
            )
        if part.bidirectional:
            raise OptionError(
                "the model must run forward only, got a bidirectional layer, which needs the end "
                "of its sequence; use one with bidirectional=False."
            )
    return parts, readout


def is_plain(part: Recurrent) -> bool:
    """Whether a layer is made of the cells of `torch.nn` and nothing else."""
    return not part.residual and all(_plain_name(cell) is not None for (cell,) in part.cells())


def plain_weights(model: Model) -> tuple[list[Arrays], Arrays | None]:
    """Layers and readout of a stack of recurrent layers, as copies in numpy arrays.

    Args:
        model: as of `parts_of`.

    Returns:
        layers: of each (cell, weight_ih, weight_hh, bias_ih, bias_hh), biases may be None.
        readout: (weight, bias) of the linear layer, or None.

    Raises:
        OptionError: something else is in the model, which is named.
    """
    parts, linear = parts_of(model)
    readout = None if linear is None else (_array(linear.weight), _array(linear.bias))
    return [layer for part in parts for layer in _layers_of(part)], readout


def _children(model: Any) -> list[Any]:
    if isinstance(model, nn.Sequential | nn.ModuleList | list | tuple):
        return list(model)
    return [model]


def _layers_of(part: Recurrent) -> Iterator[Arrays]:
    if not is_plain(part):
        raise OptionError(
            "the model must have the cells of torch.nn without projection and without further "
            f"options, got {type(part).__name__}({part.extra_repr()}); leave them out."
        )
    for (each,) in part.cells():
        cell: Any = each
        yield (
            _plain_name(cell),
            *map(_array, (cell.weight_ih, cell.weight_hh)),
            *map(_array, (cell.bias_ih, cell.bias_hh)),
        )


def _plain_name(cell: Any) -> str | None:
    """What a cell with four weights and nothing else is called; None for any other."""
    if type(cell) not in (cells.Elman, cells.LSTM, cells.GRU):
        return None
    chosen = [f.name for f in fields(cell)[4:] if getattr(cell, f.name) is not f.default]
    if type(cell) is cells.Elman and set(chosen) <= {"nonlinearity"}:
        g = cell.nonlinearity
        return f"elman_{g}" if g in ("tanh", "relu") else None
    return None if chosen else type(cell).__name__.lower()


def _array(weight: Tensor | None) -> Any:
    return None if weight is None else weight.detach().cpu().numpy().copy()

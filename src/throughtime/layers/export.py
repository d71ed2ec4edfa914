"""The weights of trained layers as plain arrays, for what runs without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from throughtime.cells import AnyCell, Zoneout
from throughtime.errors import OptionError
from throughtime.layers.recurrent import Recurrent
from throughtime.native.twins import FRESH, inner_of, kernel_of
from throughtime.native.weights import ARRAYS, LayerWeights, Readout

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


def is_compiled(part: Recurrent) -> bool:
    """Whether the kernels know a single step of a layer, with all that it is made of."""
    return not part.residual and all(_is_known(cell) for (cell,) in part.cells())


def plain_weights(model: Model) -> tuple[list[LayerWeights], Readout | None]:
    """Layers and readout of a stack of recurrent layers, as copies in numpy arrays.

    Args:
        model: as of `parts_of`.

    Returns:
        layers: one after the other, from the input upwards.
        readout: the linear layer, or None.

    Raises:
        OptionError: something else is in the model, which is named.
    """
    parts, linear = parts_of(model)
    readout = None if linear is None else Readout(_array(linear.weight), _array(linear.bias))
    return [layer for part in parts for layer in _layers_of(part)], readout


def _children(model: Any) -> list[Any]:
    if isinstance(model, nn.Sequential | nn.ModuleList | list | tuple):
        return list(model)
    return [model]


def _layers_of(part: Recurrent) -> Iterator[LayerWeights]:
    if not is_compiled(part):
        raise OptionError(
            "the model must be without layer_norm, residual, learn_initial, functions for "
            f"nonlinearity and cells of your own, got {type(part).__name__}({part.extra_repr()}); "
            "leave them out."
        )
    for (cell,) in part.cells():
        kernel: Any = kernel_of(cell)
        arrays = {name: _array(getattr(inner_of(cell), name, None)) for name in ARRAYS}
        keep = tuple(map(float, cell.keep)) if isinstance(cell, Zoneout) else ()
        yield LayerWeights(kernel.name, **arrays, nonlinearity=kernel.nonlinearity, keep=keep)


def _is_known(cell: AnyCell) -> bool:
    if kernel_of(cell) is None:
        return False
    inner = inner_of(cell)
    # a session begins with zeros, and has no LayerNorm
    return all(getattr(inner, name, None) is None for name in ("norm_ih", *FRESH))


def _array(weight: Tensor | None) -> Any:
    return None if weight is None else weight.detach().cpu().numpy().copy()

"""A recording as labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from throughtime.instruments.recording import LayerRecording, Recording

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

DIRECTIONS = ("forward", "reverse")
"""The places of the axis `direction`."""

_STATE = ("layer", "direction", "time", "batch", "unit")
_GATE = ("layer", "direction", "gate", "time", "batch", "unit")
_INPUT = ("layer", "time", "batch", "feature")


def dataset_of(recording: Recording, parts: frozenset[str]) -> xarray.Dataset:
    """All that was kept of one call, by name; missing (NaN) where a row has no step.

        x                                    layer, time, batch, feature
        h, c, dy, dh, dc                     layer, direction, time, batch, unit
        gates, pre_activations,              layer, direction, gate, time, batch, unit
        dpre_activations

    The coordinate `length` of the axis batch holds the steps of each row. Smaller layers are
    filled up with NaN; gradients are there after a backward pass.

    Args:
        recording: of the call.
        parts: what was kept of it, of `keep.PARTS`.
    """
    import xarray

    layers, first = recording.layers, recording.layers[0]
    parts = parts if all(layer.has_gradients for layer in layers) else parts - {"gradients"}
    states = [_states(layer, parts) for layer in layers]
    gates = [_gates(layer, parts) for layer in layers]
    names = _names([own for layer in gates for own in layer.values()])
    found = [t for own in states for t in own.values()]
    found += [t for layer in gates for own in layer.values() for t in own.values()]
    size = max([t.shape[-1] for t in found], default=0)
    arrays: dict[str, tuple[tuple[str, ...], Array]] = {}
    if "inputs" in parts:
        widest = max(layer.x.shape[-1] for layer in layers)
        arrays["x"] = _INPUT, _stack([_filled(_numpy(layer.x), widest) for layer in layers], first)
    for part in _names(states):
        rows = [_by_direction(own.get(part), size, first) for own in states]
        arrays[part] = _STATE, _stack(rows, first)
    for part in _names(gates):
        rows = [_by_gate(layer.get(part, {}), names, size, first) for layer in gates]
        arrays[part] = _GATE, _stack(rows, first)
    steps, batch = first.shape
    lengths = np.full(batch, steps) if first.valid is None else _numpy(first.valid.sum(0))
    coordinates: dict[str, Any] = {
        "layer": np.arange(len(layers)),
        "direction": list(DIRECTIONS[: first.num_directions]),
        "length": ("batch", lengths),
    }
    if names:
        coordinates["gate"] = names
    attributes = {"module": recording.name, "step": recording.step}
    return xarray.Dataset(arrays, coordinates, attributes)


def _names(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """All names, in the order in which they come first."""
    return list(dict.fromkeys(name for mapping in found for name in mapping))


def _states(layer: LayerRecording, parts: frozenset[str]) -> dict[str, Tensor]:
    """What has the axes of a state, [T, B, D, ·]."""
    own: dict[str, Tensor] = dict(layer.states._asdict()) if "states" in parts else {}
    if "gradients" in parts:
        own["dy"] = layer.dy
        own.update({f"d{name}": grad for name, grad in layer.dstates._asdict().items()})
    return own


def _gates(layer: LayerRecording, parts: frozenset[str]) -> dict[str, Mapping[str, Tensor]]:
    """What there is of every gate, [T, B, D, H]."""
    if not layer.is_open:
        return {}
    own = {part: getattr(layer, part) for part in ("gates", "pre_activations") if part in parts}
    return own | ({"dpre_activations": layer.dpre_activations} if "gradients" in parts else {})


def _by_direction(sequence: Tensor | None, size: int, like: LayerRecording) -> Array:
    """[T, B, D, n] as [D, T, B, size]; all is missing where there is no such sequence."""
    if sequence is None:
        return np.full((like.num_directions, *like.shape, size), np.nan)
    return _filled(np.moveaxis(_numpy(sequence), 2, 0), size)


def _by_gate(
    gates: Mapping[str, Tensor], names: Sequence[str], size: int, like: LayerRecording
) -> Array:
    """Of every name [T, B, D, H], as [D, G, T, B, size]."""
    return np.stack([_by_direction(gates.get(name), size, like) for name in names], axis=1)


def _stack(parts: Sequence[Array], like: LayerRecording) -> Array:
    """One behind the other, [..., T, B, n] each, with NaN in the place of padding."""
    stacked = np.stack(parts)
    if like.valid is not None:
        stacked[..., ~_numpy(like.valid), :] = np.nan
    return stacked


def _filled(part: Array, size: int) -> Array:
    """The last axis filled up with NaN."""
    missing = [(0, 0)] * (part.ndim - 1) + [(0, size - part.shape[-1])]
    return np.pad(part, missing, constant_values=np.nan)


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()

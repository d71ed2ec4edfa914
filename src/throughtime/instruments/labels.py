"""From numbers of every layer and direction to one labelled dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments.dataset import DIRECTIONS

if TYPE_CHECKING:
    from xarray import Dataset

Place = tuple[int, int]
"""A layer and a direction."""
Numbers = Mapping[str, NDArray[Any]]
"""What was measured there, by name."""


def labelled(
    found: Mapping[Place, Numbers],
    dims: Mapping[str, Sequence[str]],
    coordinates: Mapping[str, Any],
    stack: bool,
) -> Dataset:
    """One dataset of all layers and directions.

    Args:
        found: the numbers of every layer and direction.
        dims: the dims of each name.
        coordinates: of those dims.
        stack: whether the numbers are those of all layers together, which have no such dims.

    Returns:
        dims layer, direction and the given ones; NaN where a layer has fewer numbers than another.
    """
    from xarray import Dataset

    layers, directions = (1 + max(index) for index in zip(*found, strict=True))
    variables = {}
    for name in next(iter(found.values())):
        parts = {place: numbers[name] for place, numbers in found.items()}
        first = next(iter(parts.values()))
        shape = np.max([part.shape for part in parts.values()], axis=0)
        fill = 0 if first.dtype.kind == "i" else np.nan
        whole = np.full((layers, directions, *shape), fill, first.dtype)
        for place, part in parts.items():
            whole[place][tuple(map(slice, part.shape))] = part
        lead = () if stack else ("layer", "direction")
        variables[name] = ((*lead, *dims[name]), whole[0, 0] if stack else whole)
    if not stack:
        coordinates = {"direction": list(DIRECTIONS[:directions]), **coordinates}
    return Dataset(variables, coordinates)

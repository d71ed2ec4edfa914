"""Gates: how they are distributed, how often they are saturated, how long they keep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.cells import GRU, LSTM, Elman, Zoneout
from throughtime.errors import OptionError
from throughtime.instruments.dataset import DIRECTIONS
from throughtime.instruments.reading import by_unit
from throughtime.instruments.tape import Tape

if TYPE_CHECKING:
    from xarray import Dataset

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Shares of the steps that lie below each quantile."""

_BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "relu": (0.0, math.inf),
    **dict.fromkeys(["tanh", "hardtanh", "softsign"], (-1.0, 1.0)),
}
OPEN = (-math.inf, math.inf)
"""No bound on either side."""

_KEEPS = {LSTM: "forget", GRU: "update"}

_Sorted = list[list[NDArray[Any]]]  # of one gate, by layer and direction, [H, N], steps in order


def gates(
    tape: Tape,
    name: str | None = None,
    call: int = -1,
    *,
    margin: float = 0.1,
    bins: int = 40,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    keeps: str | None = None,
) -> Dataset:
    """How every gate of every unit was set over the steps of a call, padding left out.

        left = share of steps with g_t < lower + margin,   right = with g_t > upper - margin
        time constant = -1 / log(mean of f_t),   half-life = time constant * log 2

    With the margin 0.1 a sigmoid is saturated below 0.1 and above 0.9 (Karpathy, Johnson and Li
    2015), a tanh below -0.9 and above 0.9: a candidate, and the h of a plain RNN. A relu is
    saturated on the left where it is exactly 0: a unit with the share 1 is dead. What has no bound
    on a side, as a relu above, is never saturated there.

    f is the gate that multiplies what the unit held: the LSTM's forget gate, the GRU's update gate,
    as h_t = (1 - u) n + u h_{t-1} here and in `torch.nn`. After n steps a share of the product of
    their f_t is left, on average exp(-n / time constant) as far as one step's f tells nothing of
    the next one's: the way through the unit alone, not that through others (time constants of
    gates: Tallec and Ollivier 2018; of language models: Mahto et al. 2021).

    Args:
        tape: of a call of a recurrent module.
        name: of the module on the tape; the only one without it.
        call: which of its calls; the last by default.
        margin: distance from a bound under which a gate is saturated, in (0, 0.5).
        bins: of the histograms, from bound to bound; where there is none, to the extreme value.
        bounds: lower and upper bound of a gate by its name, for cells of your own; infinite where
            there is none.
        keeps: the gate f of cells of your own.

    Returns:
        `histogram`, shares of the steps in each bin, summing to 1, and the bins' `edges`;
        `quantiles`, `mean`, `left` and `right`; where a gate keeps, `time_constant` and `half_life`
        in steps. Dims gate, layer, direction, unit, bin, edge, quantile; NaN where a layer has
        fewer units than another.

    Raises:
        OptionError: an argument is out of its range, no gate has that name, the cells show no
            gates, no row has a step, or a gate is NaN or beyond its bounds.
    """
    if not 0 < margin < 0.5:
        raise OptionError(f"margin must be in (0, 0.5), got {margin:g}; 0.1 is usual.")
    if bins < 1:
        raise OptionError(f"bins must be at least 1, got {bins}; 40 is usual.")
    layers = tape.recording(name, call).layers
    of_layers = [layer.gates for layer in layers]
    cell: Any = layers[0].cells[0]
    keeps = keeps or _KEEPS.get(type(_inner(cell)))
    _check_names(list(of_layers[0]), [*(bounds or ()), *([keeps] if keeps else ())])
    known = known_bounds(cell) | dict(bounds or {})

    found, ends, times = [], [], None
    for gate in of_layers[0]:
        values = [
            [np.sort(by_unit(layer, own[gate], d)) for d in range(layer.num_directions)]
            for layer, own in zip(layers, of_layers, strict=True)
        ]
        limits = known.get(gate, OPEN)
        edges = _edges(gate, values, limits, bins)
        ends.append(edges)
        found.append(_joined([[_describe(v, limits, edges, margin) for v in vs] for vs in values]))
        if gate == keeps:
            times = _joined([[_time_constants(v) for v in vs] for vs in values])
    data = _stacked(found, "gate", list(of_layers[0]))
    data = data.assign(edges=(("gate", "edge"), np.stack(ends)))
    data = data if times is None else data.merge(times)
    return data.assign_attrs(margin=margin, keeps=keeps or "none")


def known_bounds(cell: Any) -> dict[str, tuple[float, float]]:
    """Lower and upper bound of the gates of one of our cells, by name."""
    cell = _inner(cell)
    if isinstance(cell, Elman):
        return {"hidden": _BOUNDS.get(str(cell.nonlinearity), OPEN)}
    if isinstance(cell, LSTM | GRU):
        named = dict.fromkeys(["input", "forget", "output", "reset", "update"], "sigmoid")
        return {gate: _BOUNDS[g] for gate, g in (named | {"candidate": "tanh"}).items()}
    return {}


def _inner(cell: Any) -> Any:
    return cell.cell if isinstance(cell, Zoneout) else cell


def _check_names(names: Sequence[str], asked: Sequence[str]) -> None:
    for gate in asked:
        if gate not in names:
            raise OptionError(
                f"a gate must be one of {', '.join(names)}, got {gate!r}; name one of them."
            )


def _edges(
    gate: str, values: _Sorted, limits: tuple[float, float], bins: int
) -> NDArray[np.float64]:
    """Edges of the bins, [bins + 1]; the place where values that cannot be are found."""
    parts = [part for directions in values for part in directions]
    if parts[0].shape[1] == 0:
        raise OptionError("gates need a call with a step, got rows of length 0; pass longer ones.")
    seen = min(float(v[:, 0].min()) for v in parts), max(float(v[:, -1].max()) for v in parts)
    if not limits[0] <= seen[0] <= seen[1] <= limits[1]:  # NaN is sorted to the end
        raise OptionError(
            f"the {gate} gate must be within {limits[0]:g} and {limits[1]:g}, got values from "
            f"{seen[0]:g} to {seen[1]:g}; pass other bounds, or look for the first NaN."
        )
    lower, upper = (b if math.isfinite(b) else s for b, s in zip(limits, seen, strict=True))
    return np.linspace(lower, upper if upper > lower else lower + 1, bins + 1)


def _describe(
    values: NDArray[Any], limits: tuple[float, float], edges: NDArray[np.float64], margin: float
) -> Dataset:
    """Everything about one gate of one layer and direction, from its sorted values [H, N]."""
    from xarray import Dataset

    num = values.shape[1]
    counts = np.diff(_count_below(values, edges[1:-1]), prepend=0, append=num)
    (lower, upper), is_open = limits, math.isinf(limits[1])
    left = _count_below(values, [lower if is_open else lower + margin], has_equal=is_open)
    right = num - _count_below(values, [upper - margin], has_equal=True)
    return Dataset(
        {
            "histogram": (("unit", "bin"), counts / num),
            "quantiles": (("unit", "quantile"), _quantiles(values)),
            "mean": ("unit", values.mean(axis=1, dtype=np.float64)),
            "left": ("unit", left[:, 0] / num),
            "right": ("unit", right[:, 0] / num),
        },
        {"unit": np.arange(len(values)), "quantile": list(QUANTILES)},
    )


def _count_below(
    values: NDArray[Any], levels: Sequence[float] | NDArray[np.float64], has_equal: bool = False
) -> NDArray[np.int64]:
    """How many of the sorted values [H, N] lie below each level, [H, levels]."""
    side: Literal["left", "right"] = "right" if has_equal else "left"
    return np.array([np.searchsorted(unit, levels, side) for unit in values])


def _quantiles(values: NDArray[Any]) -> NDArray[np.float64]:
    """Of sorted values [H, N], linear between neighbours, [H, quantiles]."""
    places = np.array(QUANTILES) * (values.shape[1] - 1)
    below = places.astype(int)
    low, high = (values[:, i].astype(np.float64) for i in (below, np.ceil(places).astype(int)))
    quantiles: NDArray[np.float64] = low + (places - below) * (high - low)
    return quantiles


def _time_constants(values: NDArray[Any]) -> Dataset:
    """Of the gate that keeps, [H, N]; infinite where it is always 1, 0 where it is always 0."""
    from xarray import Dataset

    with np.errstate(divide="ignore"):
        rate = -np.log(values.mean(axis=1, dtype=np.float64))
        steps = 1 / np.abs(rate)  # of -log 1 it is +0
    return Dataset(
        {"time_constant": ("unit", steps), "half_life": ("unit", steps * math.log(2))},
        {"unit": np.arange(len(values))},
    )


def _joined(parts: Sequence[Sequence[Dataset]]) -> Dataset:
    """Parts by layer and direction as one, NaN where a layer has fewer units."""
    layers = [_stacked(part, "direction", DIRECTIONS[: len(part)]) for part in parts]
    return _stacked(layers, "layer", range(len(layers)))


def _stacked(parts: Sequence[Dataset], dim: str, places: Sequence[Any]) -> Dataset:
    from xarray import concat

    return concat(parts, dim, data_vars="all", join="outer").assign_coords({dim: list(places)})

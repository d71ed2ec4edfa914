"""Gates that no longer move: saturated, stuck at one end, dead."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from throughtime.cells import GRU, LSTM, Elman, Zoneout
from throughtime.instruments.recording import LayerRecording

LOW, HIGH = 0.1, 0.9
"""Parts of a gate's range below and above which it counts as saturated (Karpathy et al. 2015)."""

END = 0.01
"""Part of a gate's range that counts as its end; a sigmoid's slope there is under 0.01."""

STEPS = 16
"""Steps of a window that are looked at, spread over it evenly."""

_RANGES = {
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
}

_KEEPING = {("forget", "high"), ("update", "high"), ("input", "low")}
"""Ends at which a unit remembers what it has: what a long memory is made of."""


def saturation(layer: LayerRecording, direction: int) -> dict[str, Any]:
    """How many values of each gate lie at the ends of its range, and how many units are stuck.

    A unit is stuck where its gate lies within 1 % of one and the same end at all of some `STEPS`
    steps and all rows, other than the end that remembers (forget and update open, input shut); it
    is dead where its h is zero at all of them.

    Args:
        layer: of a tape.
        direction: 0, or 1 for the reverse one.

    Returns:
        low, high: shares of the values by gate. stuck: shares of the units by gate and end.
        dead: share of the units.
    """
    every = slice(None, None, max(1, layer.shape[0] // STEPS))
    valid = None if layer.valid is None else layer.valid[every]
    h = _chosen(layer.states[0][every, :, direction], valid)  # [N, H]
    found: dict[str, Any] = {"low": {}, "high": {}, "stuck": {}}
    found["dead"] = _share(h.eq(0).all(0))
    for name, (bottom, top) in _gate_ranges(layer, direction).items():
        gate = _chosen(layer.gates[name][every, :, direction], valid)
        part = (gate - bottom) / (top - bottom)
        found["low"][name] = _share(part < LOW)
        found["high"][name] = _share(part > HIGH)
        for end, is_there in (("low", part < END), ("high", part > 1 - END)):
            if (name, end) not in _KEEPING:
                found["stuck"][f"{name} {end}"] = _share(is_there.all(0))
    return found


def _gate_ranges(layer: LayerRecording, direction: int) -> dict[str, tuple[float, float]]:
    """The gates that have a range, with it; those of cells of one's own are unknown."""
    cell: Any = layer.run.cells[direction]
    cell = cell.cell if isinstance(cell, Zoneout) else cell
    if isinstance(cell, Elman):
        g = cell.nonlinearity
        return {"hidden": _RANGES[g]} if isinstance(g, str) and g in _RANGES else {}
    if isinstance(cell, LSTM | GRU):
        return {name: _RANGES["tanh" if name == "candidate" else "sigmoid"] for name in layer.gates}
    return {}


def _chosen(values: Tensor, valid: Tensor | None) -> Tensor:
    """The rows that have a step, [N, H]."""
    return values.flatten(0, 1) if valid is None else values[valid]


def _share(which: Tensor) -> float:
    return float(which.double().mean()) if which.numel() else 0.0

"""What the flight recorder reads off a tape: numbers of every recurrent layer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from throughtime.instruments.flight.reach import GONE, reach_back, spectral_radius
from throughtime.instruments.flight.saturation import saturation
from throughtime.instruments.recording import LayerRecording
from throughtime.instruments.tape import Tape

DIRECTIONS = ("forward", "reverse")
DIGITS = 5
"""Significant digits of a number in the file."""


def read_tape(tape: Tape) -> list[dict[str, Any]]:
    """The numbers of every layer and direction in the last call of each module.

    Each is an object of

        module, layer, direction   which one
        steps                      T, of the window
        flow                       mean over rows of |dL/dh_t| by lag from the row's last step, [T]
        largest                    {norm, time, row} of the longest dL/dh_t
        reach                      as `reach_back`
        horizon                    the lag at which the reach is under 1 %; null beyond the window
        spectral_radius            as `spectral_radius`
        low, high, stuck, dead     as `saturation`

    Args:
        tape: with inputs, states, gates, gradients and weights, after the backward pass. Calls
            through which no gradient came are left out.
    """
    # A cell of one's own may draw; what training draws must not hang on who watches.
    with torch.random.fork_rng(devices=[]):
        return [
            _read(layer, direction) | {"module": name, "layer": index}
            for name in tape.names
            for recording in tape.recordings(name)[-1:]
            for index, layer in enumerate(recording.layers)
            if layer.has_gradients
            for direction in range(layer.num_directions)
        ]


def _read(layer: LayerRecording, direction: int) -> dict[str, Any]:
    norms = layer.dstates[0][:, :, direction].norm(dim=-1).double()  # [T, B]
    steps, batch = norms.shape
    place = int(norms.nan_to_num(math.inf).argmax())
    reach = reach_back(layer.run, direction, layer.dy)
    reached = len(reach) - 1
    return {
        "direction": DIRECTIONS[direction],
        "steps": steps,
        "flow": [rounded(norm) for norm in _by_lag(norms, layer.valid, direction).tolist()],
        "largest": {
            "norm": rounded(float(norms.flatten()[place])),
            "time": place // batch,
            "row": place % batch,
        },
        "reach": [rounded(share) for share in reach],
        "horizon": reached if reach and reach[-1] < GONE else None,
        "spectral_radius": rounded(spectral_radius(layer.run, direction)),
        **_rounded_shares(saturation(layer, direction)),
    }


def _by_lag(norms: Tensor, valid: Tensor | None, direction: int) -> Tensor:
    """Means over rows, [T], of norms [T, B] counted back from each row's last step."""
    if direction == 1:  # the reverse direction ends with the first step
        return norms.mean(1) if valid is None else _mean(norms, valid)
    if valid is None:
        return norms.flip(0).mean(1)
    steps = len(norms)
    at = valid.sum(0) - 1 - torch.arange(steps)[:, None]  # [T, B], lag by row
    return _mean(norms.gather(0, at.clamp(min=0)), at >= 0)


def _mean(norms: Tensor, valid: Tensor) -> Tensor:
    return (norms * valid).sum(1) / valid.sum(1).clamp(min=1)


def _rounded_shares(shares: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {gate: rounded(share) for gate, share in value.items()}
        if isinstance(value, dict)
        else rounded(value)
        for name, value in shares.items()
    }


def rounded(number: float) -> float | None:
    """A number for a JSON file; None for what is not finite.

    Example:
        >>> rounded(0.123456789), rounded(math.inf)
        (0.12346, None)
    """
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None

"""Gradient flow: how large the gradient of every step's state is, and where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from throughtime.instruments.dataset import DIRECTIONS
from throughtime.instruments.direct import direct, norm_of, with_gradients
from throughtime.instruments.recording import LayerRecording
from throughtime.instruments.tape import Tape

if TYPE_CHECKING:
    import xarray

_AXES = ("layer", "direction", "time", "batch")


def gradient_flow(tape: Tape, name: str | None = None, call: int = -1) -> xarray.Dataset:
    """The norm of the gradient of every step's state, and its two parts.

        dL/dh_t = dy_t + (dh_{t+1}/dh_t)^T dL/dh_{t+1}       (in the reverse direction from t - 1)

    dy_t is the direct part, what reads the output of step t: a loss, the layers above. The other
    part came through time, and is what vanishes or explodes (Bengio, Simard and Frasconi 1994;
    Pascanu, Mikolov and Bengio 2013). A loss that reads h_n is direct at the last step.

    Args:
        tape: of a forward and a backward pass.
        name: of the module; None where only one is watched.
        call: which of its calls on the tape; the latest by default.

    Returns:
        Euclidean norms over the units, with the axes layer, direction, time and batch: `h` of
        dL/dh_t, `direct` and `through_time` of its parts, and of every other field of the state by
        its name, `c` of dL/dc_t for an LSTM. Missing where a row has no step.

    Raises:
        OptionError: as of `Tape.recording`; or the tape has no gradients, or did not keep them.
        DataError: a gradient is not finite.

    Example:
        >>> import throughtime as tt
        >>> lstm = tt.LSTM(2, 4, num_layers=2)
        >>> with tt.watch(lstm) as tape:
        ...     lstm(torch.ones(5, 3, 2))[0][-1].sum().backward()
        >>> flow = gradient_flow(tape)
        >>> list(flow), flow["c"].shape
        (['h', 'direct', 'through_time', 'c'], (2, 1, 5, 3))
        >>> float(flow["direct"].sel(time=3, layer=1).max())  # the loss is at the last step alone
        0.0
    """
    import xarray

    recording = with_gradients(tape, name, call)
    norms = [_norms(layer) for layer in recording.layers]
    first = recording.layers[0]
    return xarray.Dataset(
        {part: (_AXES, np.stack([own[part] for own in norms])) for part in norms[0]},
        {
            "layer": np.arange(len(norms)),
            "direction": list(DIRECTIONS[: first.num_directions]),
            "time": np.arange(first.shape[0]),
        },
        {"module": recording.name, "step": recording.step},
    )


def _norms(layer: LayerRecording) -> dict[str, np.ndarray]:
    """By name, [D, T, B]; missing where a row has no step."""
    dstates, own = layer.dstates._asdict(), direct(layer)
    total = dstates.pop("h")
    parts = {"h": total, "direct": own, "through_time": total - own, **dstates}
    found = {}
    for part, gradient in parts.items():
        norm = norm_of(gradient)  # [T, B, D]
        if layer.valid is not None:
            norm = norm.masked_fill(~layer.valid[..., None], torch.nan)
        found[part] = norm.movedim(2, 0).cpu().numpy()
    return found

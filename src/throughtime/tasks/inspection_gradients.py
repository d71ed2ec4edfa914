"""Gradients of a run for its report: how far back they reach, and which loss teaches which step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments import credit, gradient_flow
from throughtime.tasks.inspection_curves import Lines
from throughtime.tasks.inspection_subject import Subject, layer_names, watch_losses
from throughtime.web import Credit, Flow

if TYPE_CHECKING:
    from xarray import DataArray

MOST_READINGS = 200
"""Readings of a flight recorder."""

MOST_PAIRS = 128
"""Losses, and states, in a picture of the credit matrix."""


def measure_flow(subject: Subject, flight: Lines) -> Flow:
    """How far back the gradient of the last loss reaches, after training and through it.

    Args:
        subject: the network.
        flight: lines of the flight recorder, none without one.
    """
    norm = _mean_rows(gradient_flow(watch_losses(subject, slice(-1, None)), subject.layers)["h"])
    update, reach = _read_reach(subject, flight, len(norm))
    training = (
        f"Through training: {len(update)} readings of the flight recorder, of the training's own "
        "windows, followed down to 1 %."
        if len(update)
        else "This run kept no flight record, so there is nothing of the time of training."
    )
    note = f"After training: mean over rows of the loss of the last step; read: {subject.source}."
    return Flow(layer_names(len(norm)), norm[:, ::-1], update, reach, f"{note} {training}")


def _read_reach(
    subject: Subject, flight: Lines, layers: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Updates, [S], and shares of lag 0, [L, S, K], of the readings of a flight recorder."""
    readings = [line for line in flight if line.get("kind") == "reading"]
    readings = readings[:: -(-len(readings) // MOST_READINGS) or 1]
    parts = [
        (s, own["layer"], np.array(own["reach"], np.float64))
        for s, line in enumerate(readings)
        for own in line["layers"]
        if (own["module"], own["direction"]) == (subject.layers, "forward")
    ]
    longest = max((len(part) for _, _, part in parts), default=0)
    reach = np.full((layers, len(readings), longest), np.nan)
    for s, layer, part in parts:
        reach[layer, s, : len(part)] = part
    return np.array([line["update"] for line in readings], np.int64), reach


def measure_credit(subject: Subject) -> Credit:
    """Which loss teaches which step."""
    found = credit(watch_losses(subject, slice(None)), subject.layers)
    norm = found.norm["h"].sel(direction="forward").mean("batch")  # [layer, loss, time]
    stride = -(-norm.sizes["time"] // MOST_PAIRS)
    shown = norm.isel(loss=slice(None, None, -stride), time=slice(None, None, stride))
    shown = shown.sortby("loss")
    layers = range(norm.sizes["layer"])
    lags = [found.by_lag(layer).mean("batch") for layer in layers]
    is_before = shown["time"] <= shown["loss"]
    every = "every step" if stride == 1 else f"every {stride}th step"
    return Credit(
        layer_names(len(layers)),
        shown["loss"].values,
        shown["time"].values,
        shown.where(is_before).values,
        lags[0]["lag"].values,
        np.stack([lag.values for lag in lags]),
        [str(found.memory_horizon(layer)) for layer in layers],
        f"The picture shows {every} of {norm.sizes['time']}, the mean over "
        f"{found.norm.sizes['batch']} rows; read: {subject.source}.",
    )


def _mean_rows(norm: DataArray) -> NDArray[Any]:
    """Of the forward direction, [L, T]."""
    mean: NDArray[Any] = norm.sel(direction="forward").mean("batch").values
    return mean

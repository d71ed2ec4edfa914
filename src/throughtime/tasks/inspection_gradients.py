"""Gradients of a run for its report: how far back they reach, and which loss teaches which step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments import credit, gradient_flow
from throughtime.tasks.inspection_curves import Lines
from throughtime.tasks.inspection_subject import Place, Subject, name_places, watch_losses
from throughtime.web import Credit, Flow

if TYPE_CHECKING:
    from xarray import DataArray

MOST_READINGS = 200
"""Readings of a flight recorder."""

MOST_PAIRS = 128
"""Losses, and states, in a picture of the credit matrix."""


def measure_flow(subject: Subject, flight: Lines) -> Flow:
    """How far back the gradient of the last loss reaches, after training and through it.

    In the reverse direction that is the first loss, and the way back leads to the end.

    Args:
        subject: the network.
        flight: lines of the flight recorder, none without one.
    """
    norm = gradient_flow(watch_losses(subject, slice(-1, None)), subject.layers)["h"]
    places, by_direction = name_places(norm.sizes["layer"], norm.sizes["direction"]), [norm]
    if norm.sizes["direction"] == 2:
        first = watch_losses(subject, slice(0, 1))
        by_direction.append(gradient_flow(first, subject.layers)["h"])
    lines = [_by_lag(by_direction[d].values[layer, d], d) for layer, d, _ in places]
    update, reach = _read_reach(subject, flight, places)
    training = (
        f"Through training: {len(update)} readings of the flight recorder, of the training's own "
        "windows, followed down to 1 %."
        if len(update)
        else "This run kept no flight record, so there is nothing of the time of training."
    )
    which = "the loss" if subject.note else "the loss of the last step"
    if len(by_direction) == 2 and not subject.note:
        which += ", in the reverse direction of the first"
    after = f"After training: mean over rows of {which}; read: {subject.windows}."
    sampling = " ".join([after, *_notes(subject, len(by_direction)), training])
    return Flow([place.name for place in places], np.stack(lines), update, reach, sampling)


def _notes(subject: Subject, directions: int) -> list[str]:
    """What a reader should know of the losses and of the time."""
    reverse = (
        "In the reverse direction, which reads from the end, a step before is one that is later."
    )
    return [note for note in (subject.note, reverse * (directions == 2)) if note]


def _by_lag(norm: NDArray[Any], direction: int) -> NDArray[np.float64]:
    """The mean over rows by lag, [K], from that of every step, [T, B], NaN where there is none.

        line_k = share_k mean_b n_0b,   share_k = sum_b n_kb / sum_b n_0b   (b with a step there)

    so that a line falls because gradients do, and not because rows end.
    """
    steps, batch = norm.shape
    lengths = (~np.isnan(norm)).sum(axis=0)
    lagged = np.full((steps, batch), np.nan)  # n_kb
    for b, length in enumerate(lengths):
        lagged[:length, b] = norm[:length, b] if direction else norm[:length, b][::-1]
    zero = np.where(np.isnan(lagged), np.nan, lagged[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nansum(lagged, axis=1) / np.nansum(zero, axis=1)
    return np.asarray(share * np.nanmean(lagged[0]), np.float64)


def _read_reach(
    subject: Subject, flight: Lines, places: Sequence[Place]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Updates, [S], and shares of lag 0, [L, S, K], of the readings of a flight recorder."""
    index = {(at.layer, at.way): i for i, at in enumerate(places)}
    readings = [line for line in flight if line.get("kind") == "reading"]
    readings = readings[:: -(-len(readings) // MOST_READINGS) or 1]
    parts = [
        (s, index[own["layer"], own["direction"]], np.array(own["reach"], np.float64))
        for s, line in enumerate(readings)
        for own in line["layers"]
        if own["module"] == subject.layers
    ]
    longest = max((len(part) for _, _, part in parts), default=0)
    reach = np.full((len(places), len(readings), longest), np.nan)
    for s, place, part in parts:
        reach[place, s, : len(part)] = part
    return np.array([line["update"] for line in readings], np.int64), reach


def measure_credit(subject: Subject) -> Credit:
    """Which loss teaches which step."""
    found = credit(watch_losses(subject, slice(None)), subject.layers)
    norm = found.norm["h"].mean("batch")  # [layer, direction, loss, time]
    stride = -(-norm.sizes["time"] // MOST_PAIRS)
    shown = norm.isel(loss=slice(None, None, -stride), time=slice(None, None, stride))
    shown = shown.sortby("loss")
    places = name_places(norm.sizes["layer"], norm.sizes["direction"])
    lags = [found.by_lag(at.layer, at.way).mean("batch") for at in places]
    every = "every step" if stride == 1 else f"every {stride}th step"
    picture = (
        f"The picture shows {every} of {norm.sizes['time']}, the mean over "
        f"{found.norm.sizes['batch']} rows; read: {subject.windows}."
    )
    return Credit(
        [at.name for at in places],
        shown["loss"].values,
        shown["time"].values,
        np.stack(
            [_before(shown.isel(layer=at.layer, direction=at.direction), at) for at in places]
        ),
        lags[0]["lag"].values,
        np.stack([lag.values for lag in lags]),
        [str(found.memory_horizon(at.layer, at.way)) for at in places],
        " ".join([picture, *_notes(subject, norm.sizes["direction"])]),
    )


def _before(norm: DataArray, place: Place) -> NDArray[Any]:
    """Norms [R, C] without the pairs that have no gradient by the order of time."""
    is_before = (
        norm["time"] <= norm["loss"] if not place.direction else norm["time"] >= norm["loss"]
    )
    shown: NDArray[Any] = norm.where(is_before | (norm > 0)).values
    return shown

"""From instruments to sections: what a page shows of each one's numbers, and which part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError
from throughtime.instruments import (
    PROPERTIES,
    FoundUnits,
    Keep,
    Reading,
    Tape,
    credit,
    find_units,
    fixed_points,
    gates,
    gradient_flow,
    jacobians,
    lyapunov,
    watch,
)
from throughtime.tasks.inspection_curves import Lines
from throughtime.tasks.inspection_subject import Subject
from throughtime.web import (
    Credit,
    FixedPoints,
    Flow,
    FoundUnit,
    GateLayer,
    Gates,
    LayerPoints,
    LayerSpectra,
    LayerUnits,
    Missing,
    Spectra,
    Units,
)

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

MOST_READINGS = 200
"""Readings of a flight recorder."""

MOST_PAIRS = 128
"""Losses, and states, in a picture of the credit matrix."""

MOST_TOKENS, FEWEST_TOKENS = 1000, 300
"""Tokens of a text that is shown, where its units leave the choice."""

FEWEST_STEPS, MOST_STEPS = 8, 32
"""Steps whose Jacobians are taken."""

SHOWN_STEPS = 12
"""Steps whose eigenvalues are shown."""

LARGEST = 512
"""Numbers of a state, S, up to which fixed points are searched."""

FEWEST_CANDIDATES, MOST_CANDIDATES = 4, 64
"""States that the search begins at."""

SLOW = 1e-3
"""q up to which a point is shown: slow points, too."""

_WORK = 2e9  # steps times S^3 for the Jacobians of a run, some ten seconds
_SEARCH = 2e8  # the same of candidates

_SURE = 0.05  # p-value from which on a unit counts as found


def measure_flow(subject: Subject, flight: Lines) -> Flow:
    """How far back the gradient of the last loss reaches, after training and through it.

    Args:
        subject: the network.
        flight: lines of the flight recorder, none without one.
    """
    norm = _mean_rows(gradient_flow(_watch_losses(subject, slice(-1, None)), subject.layers)["h"])
    update, reach = _read_reach(subject, flight, len(norm))
    training = (
        f"Through training: {len(update)} readings of the flight recorder, of the training's own "
        "windows, followed down to 1 %."
        if len(update)
        else "This run kept no flight record, so there is nothing of the time of training."
    )
    note = f"After training: mean over rows of the loss of the last step; read: {subject.source}."
    return Flow(_names(len(norm)), norm[:, ::-1], update, reach, f"{note} {training}")


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
    found = credit(_watch_losses(subject, slice(None)), subject.layers)
    norm = found.norm["h"].sel(direction="forward").mean("batch")  # [layer, loss, time]
    stride = -(-norm.sizes["time"] // MOST_PAIRS)
    shown = norm.isel(loss=slice(None, None, -stride), time=slice(None, None, stride))
    shown = shown.sortby("loss")
    layers = range(norm.sizes["layer"])
    lags = [found.by_lag(layer).mean("batch") for layer in layers]
    is_before = shown["time"] <= shown["loss"]
    every = "every step" if stride == 1 else f"every {stride}th step"
    return Credit(
        _names(len(layers)),
        shown["loss"].values,
        shown["time"].values,
        shown.where(is_before).values,
        lags[0]["lag"].values,
        np.stack([lag.values for lag in lags]),
        [str(found.memory_horizon(layer)) for layer in layers],
        f"The picture shows {every} of {norm.sizes['time']}, the mean over "
        f"{found.norm.sizes['batch']} rows; read: {subject.source}.",
    )


def measure_gates(subject: Subject, tape: Tape) -> Gates:
    """How open the gates are over all that is read."""
    found = gates(tape, subject.layers, bins=40)
    layers = []
    for layer, name in enumerate(_names(found.sizes["layer"])):
        own = found.isel(layer=layer, direction=0).dropna("unit", how="all", subset=["mean"])
        time = own["time_constant"].values if "time_constant" in own else None
        layers.append(
            GateLayer(
                name,
                own["gate"].values.tolist(),
                found["edges"].values,
                own["histogram"].mean("unit").values,
                own["left"].values,
                own["right"].values,
                time,
            )
        )
    return Gates(found.attrs["margin"], layers, f"All steps read: {subject.source}.")


def watch_reading(subject: Subject) -> Tape:
    """The tape of the network while it reads its text."""
    what = {"inputs", "states", "gates", "weights"}
    with watch(subject.network, Keep(what=what)) as tape:
        subject.read()
    return tape


def measure_units(subject: Subject, tape: Tape, most_values: int) -> Units | Missing:
    """Units over the text, as many as `most_values` numbers hold, and those that were found."""
    if not subject.tokens:
        return Missing("This run reads numbers, so there is no text to lay its units over.")
    reading = Reading(subject.tokens, tape.recording(subject.layers))
    found = [one for name in PROPERTIES for one in _find(reading, name)]
    signals = [_signals(reading, layer) for layer in range(len(reading.recording.layers))]
    width = sum(reading.field(s, layer).shape[-1] for layer, own in enumerate(signals) for s in own)
    steps = min(len(subject.tokens), MOST_TOKENS, max(FEWEST_TOKENS, most_values // width))
    share = min(1.0, most_values / (width * steps))
    layers = []
    for layer, (name, own) in enumerate(zip(_names(len(signals)), signals, strict=True)):
        wanted = [one.unit(0).unit for one in found if one.unit(0).layer == layer]
        units = _choose(reading.values("h", layer)[:, :steps], share, wanted)
        values = {s: reading.values(s, layer)[units, :steps].T.astype(np.float16) for s in own}
        layers.append(LayerUnits(name, units, values))
    kept = ", ".join(f"{len(one.units)} units of {one.layer}" for one in layers)
    which = "" if share == 1 else ", those that vary most and those found"
    return Units(
        subject.tokens[:steps],
        layers,
        [_describe(one) for one in found],
        f"The first {steps:,} of {len(subject.tokens):,} tokens, {kept}{which}; "
        f"read: {subject.source}. Units were looked for in all of it.",
    )


def measure_spectra(subject: Subject, tape: Tape) -> Spectra:
    """Eigenvalues of Jacobians, their products, and the Lyapunov spectrum of one row.

    Args:
        subject: the network.
        tape: of any call of it, for its sizes.
    """
    layers = tape.recording(subject.layers).layers
    size = max(sum(field.shape[-1] for field in layer.states) for layer in layers)
    steps = max(FEWEST_STEPS, min(MOST_STEPS, int(_WORK / size**3)))
    found = jacobians(_watch_steps(subject, steps), subject.layers, rows=[0])
    many = _watch_steps(subject, 8 * steps)
    exponents = lyapunov(many, subject.layers, rows=[0], warm_up=steps)["exponents"]
    return _spectra(found, exponents)


def _spectra(found: Dataset, exponents: DataArray) -> Spectra:
    layers, steps = [], found.sizes["time"]
    shown = np.unique(np.linspace(0, steps - 1, SHOWN_STEPS).astype(int))
    for layer, name in enumerate(_names(found.sizes["layer"])):
        own = found.isel(layer=layer, direction=0, batch=0).dropna("mode", how="all")
        values = own["eigenvalues"].values[shown]
        bound = own["log_bound"].values
        layers.append(
            LayerSpectra(
                name,
                shown,
                values.real.astype(np.float16),
                values.imag.astype(np.float16),
                own["spectral_radius"].values[shown],
                np.exp(own["log_norm"].values),
                None if np.isnan(bound).all() else np.exp(bound),
                exponents.isel(layer=layer, direction=0).dropna("mode").values,
            )
        )
    return Spectra(layers, f"{steps} steps of one row, of which {len(shown)} are shown.")


def measure_points(subject: Subject) -> FixedPoints | Missing:
    """Fixed points under the usual input, from states visited while reading."""
    tape = _watch_losses(subject, slice(None))
    size = sum(f.shape[-1] for layer in tape.recording(subject.layers).layers for f in layer.states)
    if size > LARGEST:
        return Missing(
            f"The state of this run has {size:,} numbers; fixed points are searched here up to "
            f"{LARGEST}, and beyond by tt.instruments.fixed_points, which takes minutes."
        )
    candidates = max(FEWEST_CANDIDATES, min(MOST_CANDIDATES, int(_SEARCH / size**3)))
    found = fixed_points(
        tape, subject.layers, x=subject.typical, candidates=candidates, steps=150, slowest=SLOW
    )
    return _points(subject, found)


def _points(subject: Subject, found: Dataset) -> FixedPoints:
    """What was found, seen in the plane of the two principal components of visited states."""
    visited = found["visited"].values  # [T, B, S]
    states = visited.reshape(-1, visited.shape[-1])
    states = states[np.isfinite(states).all(1)]
    mean = states.mean(0)
    _, sizes, axes = np.linalg.svd(states - mean, full_matrices=False)
    plane = axes[:2].T  # [S, 2]
    share = sizes**2 / (sizes**2).sum()
    paths = ((visited - mean) @ plane).swapaxes(0, 1)[:8]  # [R, T, 2]
    one = LayerPoints(
        subject.typical_name,
        (found["s"].values - mean) @ plane,
        found["q"].values,
        np.abs(found["eigenvalues"].values).max(1),
        found["num_unstable"].values,
        paths.astype(np.float16),
        [float(part) for part in share[:2]],
    )
    counts = found.attrs
    return FixedPoints(
        [one],
        f"Of {counts['candidates']} visited states that the search began at, {counts['not_slow']} "
        f"came to no fixed point and {counts['outliers']} to one that is never visited; read: "
        f"{subject.source}.",
    )


def _watch_losses(subject: Subject, which: slice) -> Tape:
    """The tape of a forward and a backward pass from some of the losses."""
    with watch(subject.network) as tape:
        subject.losses()[which].sum().backward()
    return tape


def _watch_steps(subject: Subject, steps: int) -> Tape:
    """The tape of a few steps of one row."""
    with watch(subject.network, Keep(what={"inputs", "states", "weights"})) as tape:
        subject.peek(steps)
    return tape


def _names(layers: int) -> list[str]:
    return [f"layer {layer}" for layer in range(layers)]


def _mean_rows(norm: DataArray) -> NDArray[Any]:
    """Of the forward direction, [L, T]."""
    mean: NDArray[Any] = norm.sel(direction="forward").mean("batch").values
    return mean


def _signals(reading: Reading, layer: int) -> list[str]:
    """Fields of the state and gates; the one gate of a plain network is its state."""
    recorded = reading.recording.layers[layer]
    names = list(recorded.states._fields)
    return names if list(recorded.gates) == ["hidden"] else names + list(recorded.gates)


def _choose(values: NDArray[Any], share: float, wanted: list[int]) -> NDArray[np.int64]:
    """A share of the units, [U]: those wanted, then those whose values vary most."""
    count = max(1, int(share * len(values)))
    order = np.argsort(-values.astype(np.float64).var(axis=1), kind="stable")
    first = dict.fromkeys([*wanted, *order.tolist()])
    return np.sort(np.fromiter(first, np.int64)[:count])


def _find(reading: Reading, name: str) -> list[FoundUnits]:
    """Units that follow a property beyond chance; none where the text does not have it."""
    try:
        found = find_units(reading, name, ranks=1)
    except DataError:
        return []
    return [found] if found.data["p_value"].values[0] < _SURE else []


def _describe(found: FoundUnits) -> FoundUnit:
    unit, best = found.unit(0), found.data.isel(rank=0)
    base = float(found.data["baseline"].quantile(0.95))
    layer = f"layer {unit.layer}"
    score = best["score"].item()
    return FoundUnit(found.name, layer, unit.of, unit.unit, found.measure, score, base)

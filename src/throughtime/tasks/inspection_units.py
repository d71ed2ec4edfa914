"""Gates and units of a run for its report, as its network reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError
from throughtime.instruments import (
    PROPERTIES,
    FoundUnits,
    Keep,
    Reading,
    Tape,
    find_units,
    gates,
    watch,
)
from throughtime.instruments.reading import Unit
from throughtime.tasks.inspection_subject import Place, Subject, name_places
from throughtime.web import FoundUnit, GateLayer, Gates, LayerUnits, Missing, Units

MOST_TOKENS, FEWEST_TOKENS = 1000, 300
"""Tokens of a text that is shown, where its units leave the choice."""

_SURE = 0.05  # p-value from which on a unit counts as found


def watch_reading(subject: Subject) -> Tape:
    """The tape of the network while it reads its text."""
    what = {"inputs", "states", "gates", "weights"}
    with watch(subject.network, Keep(what=what)) as tape:
        subject.read()
    return tape


def measure_gates(subject: Subject, tape: Tape) -> Gates:
    """How open the gates are over all that is read."""
    found = gates(tape, subject.layers, bins=40)
    layers = []
    for layer, direction, name in name_places(found.sizes["layer"], found.sizes["direction"]):
        own = found.isel(layer=layer, direction=direction).dropna(
            "unit", how="all", subset=["mean"]
        )
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


def measure_units(subject: Subject, tape: Tape, most_values: int) -> Units | Missing:
    """Units over the text, as many as `most_values` numbers hold, and those that were found."""
    if not subject.tokens:
        return Missing("This run reads numbers, so there is no text to lay its units over.")
    reading = Reading(subject.tokens, tape, subject.layers)
    found = [one for name in PROPERTIES for one in _find(reading, name)]
    recorded = reading.recording.layers
    places = name_places(len(recorded), recorded[0].num_directions)
    signals = [_signals(reading, layer) for layer in range(len(recorded))]
    width = sum(reading.tensor(of, at.layer).shape[-1] for at in places for of in signals[at.layer])
    steps = min(len(subject.tokens), MOST_TOKENS, max(FEWEST_TOKENS, most_values // width))
    share = min(1.0, most_values / (width * steps))
    layers = []
    for at in places:
        wanted = [one.unit(0).unit for one in found if _place_of(one.unit(0), places) == at]
        units = _choose(reading.values("h", *at[:2])[:, :steps], share, wanted)
        values = {
            of: reading.values(of, *at[:2])[units, :steps].T.astype(np.float16)
            for of in signals[at.layer]
        }
        layers.append(LayerUnits(at.name, units, values))
    kept = ", ".join(f"{len(one.units)} units of {one.layer}" for one in layers)
    which = "" if share == 1 else ", those that vary most and those found"
    return Units(
        subject.tokens[:steps],
        layers,
        [_describe(one, places) for one in found],
        f"The first {steps:,} of {len(subject.tokens):,} tokens, {kept}{which}; "
        f"read: {subject.source}. Units were looked for in all of it.",
    )


def _place_of(unit: Unit, places: Sequence[Place]) -> Place:
    (place,) = (at for at in places if (at.layer, at.way) == (unit.layer, unit.direction))
    return place


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


def _describe(found: FoundUnits, places: Sequence[Place]) -> FoundUnit:
    unit, best = found.unit(0), found.data.isel(rank=0)
    base = float(found.data["baseline"].quantile(0.95))
    layer, score = _place_of(unit, places).name, best["score"].item()
    return FoundUnit(found.name, layer, unit.of, unit.unit, found.measure, score, base)

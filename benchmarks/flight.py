"""Whether the flight recorder warns when it should, and keeps quiet when it should.

    python benchmarks/flight.py explode diverge          # ten seeds each
    python benchmarks/flight.py healthy --seconds 120    # ten trainings of two minutes

explode: ReLU networks begun as identity (IRNN), without clipping and at some hundred times a good
    rate, until loss or gradient is not finite; then the replay.
diverge: LSTMs at thirty times a good rate, whose loss stays finite.
healthy: LSTMs, GRUs and tanh networks at the defaults of `throughtime train`.

Each prints a table and adds its rows to a JSON file.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime import record
from throughtime.data.text import read_text, standard_library
from throughtime.errors import RunError
from throughtime.tasks.language_model import train
from throughtime.tasks.options import (
    LanguageModelOptions,
    ModelOptions,
    TextOptions,
    TrainingOptions,
)
from throughtime.tasks.replay import replay

SEEDS = range(1, 11)
BATCH, WINDOW = 16, 64
LONG = 128
"""The window of the runs that explode: more steps, more factors."""
HEALTHY = ["lstm"] * 4 + ["gru"] * 3 + ["rnn"] * 3
"""Cells of the healthy runs, by seed."""

GOOD_IRNN, EXPLODING = 0.0002, 0.1
GOOD_LSTM, DIVERGING = 10.0, 300.0  # of plain descent, clipped at 1
MOST_UPDATES = 3000
"""Updates after which an exploding run is given up."""


@dataclass(frozen=True)
class Place:
    """Where the runs are, and what they read."""

    text: str
    folder: Path
    seconds: float

    def train(
        self, name: str, cell: str, updates: int, seed: int, window: int = WINDOW, **training: Any
    ) -> Path:
        """Trains on the beginning of the text, `updates` windows of it; gives the run."""
        file = self.folder / f"{name}.txt"
        file.write_text(self.text[: updates * BATCH * window + 1])
        run = self.folder / f"{name}-{seed}"
        options = LanguageModelOptions(
            TextOptions(paths=(str(file),), validation_share=0.0),
            ModelOptions(cell=cell, hidden=128, layers=1, dropout=0.0),
            TrainingOptions(batch=BATCH, window=window, epochs=1, seed=seed, threads=1, **training),
        )
        try:
            train(options, run, lambda line: None)
        except RunError as error:
            print(f"  {error}")
        return run


def warnings_of(run: Path) -> list[dict[str, Any]]:
    """The warnings of a run."""
    return [line for line in record.read_flight(run) if line["kind"] == "warning"]


def explode(place: Place, seed: int) -> dict[str, Any]:
    """An IRNN until a number is not finite."""
    run = place.train("explode", "irnn", MOST_UPDATES, seed, LONG, lr=EXPLODING, clip=0.0)
    found = warnings_of(run)
    if not (run / record.CRASH).is_dir():
        return {"seed": seed, "ended": "did not explode", "ok": False}
    again = replay(run)
    updates = [warning["update"] for warning in found if warning["rule"] == "exploding"]
    in_time = [update for update in updates if update <= again.update - 5]
    return {
        "seed": seed,
        "ended": again.update,
        "first warning": updates[0] if updates else None,
        "last in time": in_time[-1] if in_time else None,
        "exact": again.is_exact,
        "place": str(again.place),
        "ok": bool(in_time) and again.is_exact and again.place is not None,
    }


def diverge(place: Place, seed: int) -> dict[str, Any]:
    """An LSTM whose loss diverges and stays finite."""
    training = {"optimizer": "sgd", "lr": DIVERGING, "schedule": "constant"}
    run = place.train("diverge", "lstm", 200, seed, **training)
    losses = [line["nats_per_token"] for line in record.read_metrics(run)]
    found = [w["update"] for w in warnings_of(run) if w["rule"] == "diverging"]
    above = math.log(len(set(place.text[: 200 * BATCH * WINDOW + 1])))
    return {
        "seed": seed,
        "ln V": round(above, 2),
        "lowest mean of ten": round(min(losses), 2),
        "last": round(losses[-1], 2),
        "warned": found[0] if found else None,
        "ok": bool(found) and found[0] <= 20 and min(losses) > above,
    }


def healthy(place: Place, seed: int) -> dict[str, Any]:
    """A training at its defaults, stopped after the time as by Ctrl-C."""
    timer = threading.Timer(place.seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    cell = HEALTHY[seed - 1]
    run = place.train(f"healthy-{cell}", cell, 10**6, seed)
    timer.cancel()
    lines = record.read_metrics(run)
    return {
        "seed": seed,
        "cell": cell,
        "updates": lines[-1]["update"],
        "first loss": round(lines[0]["nats_per_token"], 2),
        "last": round(lines[-1]["nats_per_token"], 2),
        "warnings": ", ".join(f"{w['rule']} at {w['update']}" for w in warnings_of(run)) or "none",
        "ok": not warnings_of(run),
    }


SHOWS: dict[str, Callable[[Place, int], dict[str, Any]]] = {
    "explode": explode,
    "diverge": diverge,
    "healthy": healthy,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shows", nargs="+", choices=SHOWS)
    parser.add_argument("--text", type=Path, help="default: Python's standard library")
    parser.add_argument("--out", type=Path, default=Path("runs/flight"), help="new folder")
    parser.add_argument("--seconds", type=float, default=120.0, help="of a healthy run")
    parser.add_argument("--seeds", type=int, nargs="+", choices=SEEDS, default=list(SEEDS))
    arguments = parser.parse_args()
    text = read_text([arguments.text]) if arguments.text else standard_library()
    record.create(arguments.out)
    place = Place(text.text, arguments.out, arguments.seconds)
    for name in arguments.shows:
        rows = []
        for seed in arguments.seeds:
            rows.append(SHOWS[name](place, seed))
            print(
                name, *(f"{key} {value}" for key, value in rows[-1].items()), sep=" | ", flush=True
            )
        record.write_json(arguments.out / f"{name}.json", rows)
        print(f"{name}: {sum(row['ok'] for row in rows)} of {len(rows)} as they should be")


if __name__ == "__main__":
    main()

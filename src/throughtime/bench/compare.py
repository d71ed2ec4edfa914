"""Interleaved timing: every side is verified, then all take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from throughtime.bench.machine import Ceilings, measure_ceilings
from throughtime.bench.peers import PEERS, Problem, Run, missing, ours
from throughtime.bench.shapes import Shape

SECONDS_PER_TURN = 0.02
REST_S = 0.02
"""Length of a pause before a turn; there are more until the threads of the side before stop
spinning, which takes ONNX Runtime's some 60 milliseconds."""


@dataclass
class Row:
    """What was measured for one cell, shape and mode; times in seconds per call."""

    cell: str
    shape: Shape
    mode: str
    times: dict[str, list[float]]  # by side, in the order of the rounds
    ceilings: Ceilings  # of the machine, measured just before and after
    notes: list[str]  # sides that were left out, and why

    def median(self, side: str) -> float:
        """The median of a side."""
        return statistics.median(self.times[side])

    def best(self, *peers: str) -> tuple[str, float]:
        """The fastest side whose name begins with one of the words, and its median."""
        sides = [side for side in self.times if side.startswith(peers)]
        fastest = min(sides, key=self.median)
        return fastest, self.median(fastest)

    def ratio(self, *peers: str) -> float:
        """How many times faster we are than the best of these; below 1 we are slower."""
        return self.best(*peers)[1] / self.best("throughtime")[1]

    def spread(self) -> float:
        """`spread` of our best side."""
        return spread(self.times[self.best("throughtime")[0]])

    def rate(self) -> float:
        """Our floating-point operations a second."""
        return self.shape.operations(self.cell, self.mode) / self.best("throughtime")[1]

    def share(self) -> float:
        """Our operations as a share of what the processor can do on as many threads."""
        threads = int(self.best("throughtime")[0].rsplit(" ", 1)[1])
        return self.rate() / self.ceilings.operations[threads]

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Row:
        """The row that `as_dict` gave, also after its keys became text."""
        ceilings = {
            name: {int(threads): rates for threads, rates in by_threads.items()}
            for name, by_threads in content["ceilings"].items()
        }
        found = {**content, "shape": Shape(*content["shape"]), "ceilings": Ceilings(**ceilings)}
        return cls(**found)

    @property
    def others(self) -> tuple[str, ...]:
        """The sides that are not ours."""
        return tuple(side for side in self.times if not side.startswith("throughtime"))


def compare(cell: str, shape: Shape, mode: str, peers: Sequence[str], rounds: int = 7) -> Row:
    """Verifies all sides against the plain loop and times them in turns.

    Args:
        cell: rnn, lstm or gru.
        shape: of the layer and its input.
        mode: inference or training.
        peers: names from `peers.PEERS`.
        rounds: turns of every side.

    Returns:
        The times; a side that is not installed or gives other numbers is in the notes.
    """
    before = torch.get_num_threads()
    try:
        return _compare(Problem(cell, shape, mode), peers, rounds)
    finally:
        torch.set_num_threads(before)


def _compare(problem: Problem, peers: Sequence[str], rounds: int) -> Row:
    truth, sides, notes = problem.truth(), dict(ours(problem)), []
    for peer in peers:
        if missing(peer):
            notes.append(f"{peer}: {' and '.join(missing(peer))} not installed")
        else:
            sides |= dict(PEERS[peer][0](problem))
    for name, run in list(sides.items()):
        error = worst_error(run(), truth)
        if error > 1e-3:
            notes.append(f"{name}: differs from the loop by {error:.1e}, not timed")
            del sides[name]
    before = measure_ceilings()
    times = take_turns(sides, rounds)
    ceilings = before.with_better(measure_ceilings())
    return Row(problem.cell, problem.shape, problem.mode, times, ceilings, notes)


def worst_error(found: Sequence[Any], truth: Sequence[Any]) -> float:
    """The largest difference of any array, relative to its largest value."""
    errors = [
        float(np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(theirs.numpy()).max())
        for ours, theirs in zip(found, truth, strict=True)
    ]
    return max(errors)


def spread(times: Sequence[float]) -> float:
    """Half the distance of the quartiles, as a share of the median."""
    ordered = sorted(times)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return (high - low) / 2 / statistics.median(ordered)


def take_turns(sides: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds per call of every side, one entry per round."""
    repeats = {name: _repeats(run) for name, run in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            rest()
            run()  # brings its numbers back into the caches
            times[name].append(seconds(run, repeats[name]))
    return times


def _repeats(run: Run) -> int:
    """How many calls make a turn."""
    run()  # the first call of a process prepares much that later ones find
    repeats = 1
    while (passed := repeats * seconds(run, repeats)) < SECONDS_PER_TURN / 10:
        repeats *= 4
    return max(1, round(SECONDS_PER_TURN * repeats / passed))


def rest() -> None:
    """Waits until this process stands still, one second at most."""
    for _ in range(round(1 / REST_S)):
        before = time.process_time()
        time.sleep(REST_S)
        if time.process_time() - before < REST_S / 10:
            return


def seconds(run: Run, repeats: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats

"""Rows of random lengths, and the cells' options, beside those who can do them.

    python benchmarks/sequence.py

A few minutes. A row has our layer, our plain layer, which is the one without lengths or option, and
the others: torch's layer over packed rows and over all the padding; the same cell written by hand
as a loop in torch, eager and with a compiled step; and JAX. All sides run on two threads, are
verified against each other, and take turns. Where something is drawn, every side draws it in torch
at every call.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from throughtime.bench import CELLS, MODES, Shape
from throughtime.bench.compare import spread, take_turns, worst_error
from throughtime.bench.peers import Problem, Run, missing, torch_layer
from throughtime.bench.written import Written, loop, with_options

THREADS = 2
SIZES = [Shape(100, 32, H, H) for H in (128, 256)]
NAMES = list(with_options(SIZES[0].H))


def measure_all() -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Every row: its key (layer, H and mode), and how to measure it."""
    for cell in CELLS:
        for mode in MODES:
            for shape in SIZES:
                key = f"{cell.upper()}, lengths|{shape.H}|{mode}"
                yield key, partial(of_lengths, cell, shape, mode)
    for name in NAMES:
        for mode in MODES:
            for shape in SIZES:
                written = with_options(shape.H)[name]
                if mode == "training" or "recurrent_dropout" not in written.options:
                    key = f"{name}|{shape.H}|{mode}"
                    yield key, partial(of_option, written, shape, mode)


def of_lengths(cell: str, shape: Shape, mode: str, rounds: int = 7) -> dict[str, float]:
    """Rows with 1 to T steps, each number equally likely; what `_told` gives."""
    T, B = shape[:2]
    problem = Problem(cell, shape, mode)
    lengths = torch.randint(1, T + 1, (B,), generator=torch.Generator().manual_seed(0))
    valid = (torch.arange(T)[:, None] < lengths)[..., None]
    problem.dy *= valid
    layer, theirs = problem.layer, torch_layer(problem)

    def packed(x: torch.Tensor) -> Any:
        y, state = theirs(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(y, total_length=T)[0], state

    calls = {
        "ours": lambda x: layer(x, lengths=lengths),
        "plain": layer,
        "packed": packed,
        "padded": theirs,
    }
    sides = {name: problem.run_module(layer, THREADS, call) for name, call in calls.items()}
    for name in ("packed", "padded"):
        sides[name] = problem.run_module(theirs, THREADS, calls[name])
    y, *gradients = problem.truth()
    for name, run in sides.items():
        found, *rest = run()  # what the sides without lengths compute in the padding is left out
        _check(name, [np.where(valid, found, 0), *rest], [y * valid, *gradients])
    return _told(take_turns(sides, rounds))


def of_option(written: Written, shape: Shape, mode: str, rounds: int = 7) -> dict[str, float]:
    """A cell beside the same one written by hand; what `_told` gives."""
    torch.compiler.reset()  # of the sizes before, so that these are compiled as they are
    problem = Problem(written.cell, shape, mode, written.options)
    plain = Problem(written.cell, shape, mode)
    weights = written.weights(problem.layer)

    def draw() -> Any:
        return written.draw(problem.x, shape.H, mode == "training")

    def in_loop(cell: Written) -> Run:
        call = lambda x: (loop(cell, weights, x, *draw()),)  # noqa: E731
        return problem.run_module(problem.layer, THREADS, call)

    sides = {
        "ours": problem.run_module(problem.layer, THREADS, problem.layer),
        "eager": in_loop(written),
        "compiled": in_loop(replace(written, step=torch.compile(written.step, dynamic=False))),
    }
    if not missing("jax"):
        from throughtime.bench.jax_peer import run_jax

        dy = problem.dy if mode == "training" else None
        sides["JAX"] = run_jax(written, weights, problem.x, dy, draw)
    found = {name: _seeded(run) for name, run in sides.items()}
    for name in sides:
        _check(name, found[name], list(map(torch.as_tensor, found["eager"])))
    if written.options:
        sides["plain"] = plain.run_module(plain.layer, THREADS, plain.layer)
    return _told(take_turns(sides, rounds))


def _seeded(run: Run) -> list[Any]:
    """Results with the numbers that are drawn after a seed; copies."""
    torch.manual_seed(0)
    return [np.asarray(result).copy() for result in run()]


def _check(name: str, found: list[Any], truth: list[Any]) -> None:
    if (error := worst_error(found, truth)) > 1e-3:
        raise AssertionError(f"{name}: differs by {error:.1e}")


def _told(times: dict[str, list[float]]) -> dict[str, float]:
    """Milliseconds of every side, and the spread of ours."""
    found = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    return found | {"spread": spread(times["ours"])}


def main() -> None:
    """Prints the table."""
    from page import sequence

    print(sequence({key: measure() for key, measure in measure_all()}))


if __name__ == "__main__":
    main()

"""A run from its first file to its last line: begun, and gone on with from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from throughtime import record
from throughtime.training.checkpoint import Position, load_checkpoint, save_checkpoint
from throughtime.training.curve import draw_curve
from throughtime.training.job import Job
from throughtime.training.memory import within_memory
from throughtime.training.options import LoopOptions
from throughtime.training.progress import Announce, clock


@dataclass(frozen=True)
class Summary:
    """What a training came to."""

    run: Path
    """The run folder."""

    updates: int
    """Updates made in all."""

    elapsed_s: float
    """Seconds spent in all, validation included."""

    best: float | None
    """Best validation, in the figure that chooses the weights; None before the first one."""

    interrupted: bool
    """Whether the user stopped it before its end."""


def begin(job: Job, task: str, options: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Makes the folder of a new run, at its update 0, for `go_on`.

    Args:
        job: what is trained, its network as it begins.
        task: the recipe's name.
        options: everything the run is made from, as plain values.
        files: further content of the folder, for JSON files by name.

    Raises:
        RunError: the folder is in the way or cannot be written.
    """
    record.create(job.run)
    for name, content in files.items():
        record.write_json(job.run / name, content)
    record.Lines(job.run / record.METRICS, 0).close()
    # A new run goes on from its update 0, so that going on is all there is to get right.
    save_checkpoint(job.run, job.network, _optimizer(job), Position())
    record.write_config(job.run, task, _without_tuples(options))


def go_on(job: Job, about: str, announce: Announce) -> Summary:
    """Trains from the checkpoint in the run folder, to the end or to the user's Ctrl-C.

    Args:
        job: what is trained; its network gets the weights of the checkpoint.
        about: what it learns from, to be shown at the start.
        announce: prints a line.

    Raises:
        RunError: the folder is damaged or cannot be written, or the gradient explodes.
    """
    from throughtime.training.fit import fit

    optimizer = _optimizer(job)
    at = load_checkpoint(job.run, job.network, optimizer)
    if at.finished:
        announce(f"{job.run} has ended already, after {at.update:,} updates.")
        return Summary(job.run, at.update, at.elapsed_s, at.best, False)
    announce(
        f"{'Training' if not at.update else f'Going on at update {at.update:,} of'} "
        f"{job.total:,} updates: {about}, {count_parameters(job.network):,} parameters, "
        f"{torch.get_num_threads()} threads"
    )
    with within_memory():
        interrupted = fit(job, optimizer, at, announce)
    draw_curve(record.read_metrics(job.run), job.run, job.watched)
    if interrupted:
        announce(f"Stopped and saved. To go on: throughtime train --resume {job.run}")
    else:
        announce(f"Done: {at.update:,} updates in {clock(at.elapsed_s)}, in {job.run}")
    return Summary(job.run, at.update, at.elapsed_s, at.best, interrupted)


def set_threads(options: LoopOptions) -> None:
    """Has torch use as many threads as the options say, if they do."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)


def count_parameters(network: nn.Module) -> int:
    """Numbers that are learnt, a tied one counted once."""
    return sum(parameter.numel() for parameter in network.parameters())


def _optimizer(job: Job) -> torch.optim.Optimizer:
    from throughtime.training.learner import build_optimizer

    return build_optimizer(job.options, job.network)


def _without_tuples(value: Any) -> Any:
    """The same value with lists in their place: YAML knows no tuples."""
    if isinstance(value, Mapping):
        return {name: _without_tuples(part) for name, part in value.items()}
    return [_without_tuples(part) for part in value] if isinstance(value, list | tuple) else value

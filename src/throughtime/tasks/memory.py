"""Can a network remember? The adding problem and copy memory: trained, resumed, compared."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from throughtime import record
from throughtime.bptt import Carry
from throughtime.generators import seed_generators
from throughtime.tasks.memory_options import (
    EPOCH,
    MemoryOptions,
    read_memory_options,
)
from throughtime.tasks.memory_problems import Problem, build_problem
from throughtime.tasks.network import Network
from throughtime.training.job import Job, Step, Trained
from throughtime.training.memory import within_memory
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

HELD_OUT = 1000
"""Sequences that every validation scores."""


class Draws(Dataset[tuple[Tensor, Tensor]]):
    """A new batch for every update; item u is a pure function of seed and u.

    Args:
        problem: draws the batches; its step 0 is what is held out.
        batch: B.
        seed: of the training.
        updates: items in all.
    """

    def __init__(self, problem: Problem, batch: int, seed: int, updates: int) -> None:
        self.problem, self.batch, self.seed, self.updates = problem, batch, seed, updates

    def __len__(self) -> int:
        return self.updates

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Inputs, [T, B, I], and targets."""
        return self.problem.draw(self.batch, self.seed, index + 1)


def train(task: str, options: MemoryOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a new network on a memory task in a new run folder.

    Args:
        task: `adding` or `copy`.
        options: everything the run is made from; the folder keeps it with all defaults filled.
        out: the run folder, which must not exist or be empty.
        announce: prints a line.

    Raises:
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    options = _resolve(options)
    seed_generators(options.training.seed)
    job = _job(task, options, out)
    begin(job, task, asdict(options), {})
    return go_on(job, _describe(task, options), announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        RunError: the folder is no run of a memory task, or is damaged.
    """
    task, options = read_memory_options(run)
    set_threads(options.training)
    return go_on(_job(task, options, run), _describe(task, options), announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step.

    Raises:
        RunError: the folder is no run of a memory task, or is damaged.
    """
    task, options = read_memory_options(run)
    set_threads(options.training)
    problem = build_problem(task, options.problem.steps)
    network = _build(problem, options)
    return network, _step(problem, network)


def _build(problem: Problem, options: MemoryOptions) -> Network:
    steps = options.problem.steps
    with within_memory():
        return Network(problem.inputs, problem.outputs, problem.asked, options.model, steps)


def _resolve(options: MemoryOptions) -> MemoryOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    model = replace(options.model, init=options.model.beginning)
    training = replace(options.training, threads=torch.get_num_threads())
    return replace(options, model=model, training=training)


def _job(task: str, options: MemoryOptions, run: Path) -> Job:
    training, steps = options.training, options.problem.steps
    problem = build_problem(task, steps)
    network = _build(problem, options)
    with within_memory():
        held_out = problem.draw(HELD_OUT, training.seed, 0)

    return Job(
        run=run,
        options=training,
        network=network,
        batches=Draws(problem, training.batch, training.seed, training.epochs * EPOCH),
        windows=EPOCH,
        steps=held_out[0].shape[0] * training.batch,
        step=_step(problem, network),
        watched=problem.watched,
        validate=partial(_figures, problem, network, *held_out),
    )


def _step(problem: Problem, network: nn.Module) -> Step:
    def step(batch: tuple[Tensor, Tensor], carry: Carry | None) -> tuple[Tensor, None]:
        x, target = batch
        return problem.loss(network(x), target), None

    return step


def _figures(problem: Problem, network: nn.Module, x: Tensor, target: Tensor) -> dict[str, float]:
    with torch.inference_mode():
        y = network(x)
        return {
            problem.watched: problem.loss(y, target).item(),
            "baseline": problem.baseline,
            "share_right": problem.right(y, target).item(),
        }


def _describe(task: str, options: MemoryOptions) -> str:
    problem = build_problem(task, options.problem.steps)
    return (
        f"{task}, T = {options.problem.steps}, {options.model.cell} begun as "
        f"{options.model.beginning}, {problem.watched.replace('_', ' ')} without memory "
        f"{problem.baseline:.4f}"
    )

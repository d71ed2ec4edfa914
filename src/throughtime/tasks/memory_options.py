"""What a run of a memory task can be told, and the defaults; the run folder keeps all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from throughtime.tasks.network_options import NetworkOptions
from throughtime.tasks.options import read_task
from throughtime.training.options import (
    MOST,
    LoopOptions,
    at_least,
    at_most,
    check_types,
)

Task = Literal["adding", "copy"]
"""The tasks' names in the run folder and on the command line."""

EPOCH = 500
"""Updates in what counts as an epoch: no sequence ever comes again."""


@dataclass(frozen=True)
class ProblemOptions:
    """How long something must be remembered."""

    steps: int = 100
    """T: steps of a sequence (adding), or steps to wait before the answer (copy)."""

    def __post_init__(self) -> None:
        check_types(self)
        at_least("steps", self.steps, 2)
        at_most("steps", self.steps, MOST)


@dataclass(frozen=True)
class MemoryTraining(LoopOptions):
    """The optimiser, on new sequences in every update."""

    batch: int = 50
    """Sequences side by side in an update."""

    epochs: int = 20
    """Times 500 updates; no sequence comes twice."""

    lr: float = 0.002
    """Learning rate at its highest; an irnn wants a lower one, some 0.0005."""


@dataclass(frozen=True)
class MemoryOptions:
    """Everything a run of a memory task is made from."""

    problem: ProblemOptions = field(default_factory=ProblemOptions)
    model: NetworkOptions = field(default_factory=NetworkOptions)
    training: MemoryTraining = field(default_factory=MemoryTraining)


def read_memory_options(run: Path) -> tuple[str, MemoryOptions]:
    """The task and the full options of a run.

    Raises:
        RunError: the folder is no run of a memory task, or its configuration is damaged.
    """
    return read_task(run, dict.fromkeys(get_args(Task), MemoryOptions))

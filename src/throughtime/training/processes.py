"""Processes that train one network together, as `torchrun` starts them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from throughtime.record import CHECKPOINT


class Team(NamedTuple):
    """Which process this is, and of how many.

    Example:
        >>> Team(1, 3).share(np.arange(7)).tolist(), Team().share(np.arange(2)).tolist()
        ([1, 4], [0, 1])
    """

    rank: int = 0
    size: int = 1

    def share(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """What this process has of a batch: every size-th row, none if they are too few."""
        return places[self.rank :: self.size]


def join() -> Team:
    """The processes that `torchrun` started beside this one, connected; else this one alone."""
    if not distributed.is_available() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Team()
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
        # Its threads may not outlive the interpreter: they would abort the process now and then.
        atexit.register(distributed.destroy_process_group)
    return Team(distributed.get_rank(), distributed.get_world_size())


def own_folder(run: Path) -> Path:
    """The run folder for the first process, for each other one a copy that nobody reads.

    So that every process may keep its records, and one alone writes the run. All wait for each
    other here.
    """
    team = join()
    if team.size == 1:
        return run
    folder = run
    if team.rank:
        folder = Path(tempfile.mkdtemp(prefix="throughtime-")) / run.name
        if (run / CHECKPOINT).is_file():
            shutil.copytree(run, folder)
    distributed.barrier()
    return folder


@contextmanager
def first_alone() -> Iterator[None]:
    """Has the first process do something before all others do it, such as filling a cache."""
    team = join()
    if team.rank:
        distributed.barrier()
    try:
        yield
    finally:
        if team.size > 1 and not team.rank:
            distributed.barrier()


def part_of_mean(total: Tensor, weight: Tensor) -> Tensor:
    """What the losses of this process add to the mean over the batches of all.

        sum_b w_b l_b / W,   W the sum of all weights of all processes

    Args:
        total: sum_b w_b l_b over the rows of this process.
        weight: sum_b w_b over the same rows.
    """
    return total / add_up([weight.detach().clone()])[0]


def add_up(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Each tensor replaced by its sum over all processes, in place."""
    found = list(tensors)
    if join().size > 1:
        for tensor in found:
            distributed.all_reduce(tensor)
    return found


def add_up_gradients(network: nn.Module) -> None:
    """The gradient of the sum of all processes' losses, in each of them."""
    if join().size > 1:
        for parameter in network.parameters():
            if parameter.grad is None:  # no row of this process had a part in it
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)


def draw_apart(seed: int, update: int) -> None:
    """Has each of several processes draw numbers of its own, a function of seed and update."""
    team = join()
    if team.size > 1:
        word = np.random.SeedSequence((seed, update, team.rank)).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(word) % 2**63)

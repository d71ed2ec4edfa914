"""What a recipe hands to the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from throughtime.bptt import Carry
from throughtime.training.options import LoopOptions

Step = Callable[[Any, Carry | None], tuple[Tensor, Carry | None]]
"""Mean loss of one batch, and the carry, from the batch and the carry before it."""

Trained = tuple[nn.Module, Step]
"""A network and its step."""


@dataclass(frozen=True)
class Job:
    """One training: a network, its batches, its loss and its validation.

    Args:
        run: the run folder.
        options: of the optimiser and the loop.
        network: what is trained.
        batches: item u is the batch of update u, a pure function of u.
        windows: updates per epoch; the carry starts anew with each.
        steps: time steps per update, those of all rows, for the speed shown.
        step: loss and carry of one batch.
        watched: what the loss is, such as `nats_per_token`.
        validate: figures on what was held out, that of the name `watched` among them, drawing no
            random number; the lowest decides which weights are best. None without validation.
        chosen_by: another figure of the validation, whose highest decides instead.
    """

    run: Path
    options: LoopOptions
    network: nn.Module
    batches: Dataset[Any]
    windows: int
    steps: int
    step: Step
    watched: str
    validate: Callable[[], dict[str, float]] | None
    chosen_by: str = ""

    @property
    def total(self) -> int:
        """Updates in the whole training."""
        return self.options.epochs * self.windows

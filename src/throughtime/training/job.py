"""What a recipe hands to the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from throughtime.bptt import Carry
from throughtime.training.options import TrainingOptions

Step = Callable[[Any, Carry | None], tuple[Tensor, Carry | None]]
"""Mean loss of one batch, and the carry, from the batch and the carry before it."""

WATCHED = "nats_per_token"
"""The figure of a validation that decides which weights are best; lower is better."""


@dataclass(frozen=True)
class Job:
    """One training: a network, its batches, its loss and its validation.

    Args:
        run: the run folder.
        options: of the optimiser and the loop.
        network: what is trained.
        batches: item u is the batch of update u, a pure function of u.
        windows: updates per epoch; the carry starts anew with each.
        tokens: tokens per update, for the speed shown.
        step: loss and carry of one batch.
        validate: figures on the validation text, `nats_per_token` among them, drawing no
            random number; None without validation.
    """

    run: Path
    options: TrainingOptions
    network: nn.Module
    batches: Dataset[Any]
    windows: int
    tokens: int
    step: Step
    validate: Callable[[], dict[str, float]] | None

    @property
    def total(self) -> int:
        """Updates in the whole training."""
        return self.options.epochs * self.windows

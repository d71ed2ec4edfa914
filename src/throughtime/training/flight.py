"""The flight recorder as a callback of Lightning: every training records its flight."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as lightning
from torch import nn
from torch.optim import Optimizer

from throughtime import record
from throughtime.errors import OptionError, RunError
from throughtime.instruments import FlightRecorder, watch
from throughtime.training.checkpoint import Position
from throughtime.training.job import Job
from throughtime.training.learner import Learner
from throughtime.training.progress import Progress


def open_recorder(job: Job, at: Position, progress: Progress) -> FlightRecorder | None:
    """The recorder of a run, where its position left it.

    None where it is switched off, and for a network without recurrence, which has no flight.

    Raises:
        RunError: its file cannot be written, or is shorter than the checkpoint says.
    """
    if not job.options.record_every or not _has_recurrence(job.network):
        return None
    recorder = FlightRecorder(
        job.network,
        job.run,
        every=job.options.record_every,
        clip=job.options.clip or None,
        announce=progress.say,
        tensorboard=job.run / record.TENSORBOARD,
        state=at.flight,
    )
    recorder.update = at.update  # a run of an earlier version has no state
    return recorder


def _has_recurrence(network: nn.Module) -> bool:
    try:
        watch(network).close()
    except OptionError:
        return False
    return True


class Flight(lightning.Callback):
    """Tells a recorder of every update.

    Args:
        recorder: of the learner's network.
        progress: shows what went wrong beside the training.
    """

    def __init__(self, recorder: FlightRecorder, progress: Progress) -> None:
        self.recorder, self.progress = recorder, progress

    def on_train_batch_start(  # type: ignore[override]  # Lightning's module is wider
        self, trainer: lightning.Trainer, learner: Learner, batch: Any, batch_idx: int
    ) -> None:
        """Before an update: what it reads, and the state it begins with."""
        self.recorder.before_step(batch, learner.carry)

    def on_before_optimizer_step(  # type: ignore[override]
        self, trainer: lightning.Trainer, learner: Learner, optimizer: Optimizer
    ) -> None:
        """The gradient is there, and clipped."""
        self.recorder.after_backward(learner.loss, learner.clipped)

    def on_train_batch_end(  # type: ignore[override]
        self,
        trainer: lightning.Trainer,
        learner: Learner,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The weights have moved."""
        self.recorder.after_step()

    def on_exception(  # type: ignore[override]
        self, trainer: lightning.Trainer, learner: Learner, exception: BaseException
    ) -> None:
        """Keeps the step whose loss or gradient is not finite."""
        if isinstance(exception.__cause__, FloatingPointError):
            try:
                self.recorder.save_step(learner.loss)
            except RunError as error:  # what ended the training is told first
                self.progress.say(f"the step could not be kept: {error}")

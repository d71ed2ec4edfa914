"""What happens between updates: metrics, validation, weights, checkpoints, stopping."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as lightning

from throughtime.generators import capture_generators
from throughtime.instruments import FlightRecorder
from throughtime.record import Lines, write_weights
from throughtime.training.average import averaged
from throughtime.training.checkpoint import Position, save_checkpoint
from throughtime.training.interrupt import Interrupt
from throughtime.training.job import Job
from throughtime.training.learner import Learner
from throughtime.training.progress import Progress

LOG_EVERY = 10
"""Updates per line of training metrics."""


class Keeper(lightning.Callback):
    """Keeps the run folder up to date and decides when training ends.

    Args:
        job: what is trained.
        at: where the training stands, shared with the learner.
        metrics: the open metrics file.
        recorder: the flight recorder, told of each update before; None without one.
        progress: shows the training.
        interrupt: knows whether the user asked to stop.
    """

    def __init__(
        self,
        job: Job,
        at: Position,
        metrics: Lines,
        recorder: FlightRecorder | None,
        progress: Progress,
        interrupt: Interrupt,
    ) -> None:
        self.job, self.at, self.metrics, self.recorder = job, at, metrics, recorder
        self.progress, self.interrupt = progress, interrupt
        self.began = time.perf_counter() - at.elapsed_s
        self.logged_s, self.logged_update = at.elapsed_s, at.update

    def on_train_batch_end(  # type: ignore[override]  # Lightning's module and outputs are wider
        self,
        trainer: lightning.Trainer,
        learner: Learner,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After every update: note it, and validate, save or stop when it is time."""
        at, options = self.at, self.job.options
        at.loss_sum += learner.loss
        at.loss_count += 1
        self.progress.update(at.update, learner.loss, self.job.steps)
        is_last = at.update == self.job.total
        if at.update % LOG_EVERY == 0 or is_last:
            self._log(learner)
        is_validated = self._is_validation_due()
        is_better = self._validate() if is_validated else False
        at.finished = is_last or bool(options.patience and at.misses >= options.patience)
        must_stop = at.finished or self.interrupt.asked
        if is_validated or must_stop or at.update % options.checkpoint_every == 0:
            self._save(learner, is_better or at.best is None)
        if must_stop:
            trainer.should_stop = True

    def _log(self, learner: Learner) -> None:
        at = self.at
        at.elapsed_s = time.perf_counter() - self.began
        steps = (at.update - self.logged_update) * self.job.steps
        line = {
            "kind": "train",
            "update": at.update,
            "epoch": at.update / self.job.windows,
            self.job.watched: at.loss_sum / at.loss_count,
            "lr": learner.lr,
            "gradient_norm": learner.clipped.before,
            "clipped": learner.clipped.acted,
            "steps_per_s": steps / max(1e-9, at.elapsed_s - self.logged_s),
            "elapsed_s": at.elapsed_s,
        }
        self.metrics.add(line)
        self.logged_s, self.logged_update = at.elapsed_s, at.update
        at.loss_sum, at.loss_count = 0.0, 0

    def _is_validation_due(self) -> bool:
        every = self.job.options.validate_every or self.job.windows
        is_due = self.at.update % every == 0 or self.at.update == self.job.total
        return self.job.validate is not None and is_due

    def _validate(self) -> bool:
        """Adds a line of validation; whether it is the best one."""
        at, job = self.at, self.job
        assert job.validate is not None
        job.network.eval()
        with averaged(job.network, at.average):
            figures = job.validate()
        job.network.train()
        figure = figures[job.chosen_by or job.watched]
        gain = 0.0 if at.best is None else figure - at.best
        is_better = at.best is None or (gain > 0 if job.chosen_by else gain < 0)
        at.best = figure if is_better else at.best
        at.misses = 0 if is_better else at.misses + 1
        at.elapsed_s = time.perf_counter() - self.began
        # Speed is that of training alone.
        self.logged_s, self.logged_update = at.elapsed_s, at.update
        epoch = at.update / job.windows
        where = {"kind": "validation", "update": at.update, "epoch": epoch}
        self.metrics.add(where | figures | {"elapsed_s": at.elapsed_s})
        names: dict[float, str] = {}
        for name, value in figures.items():
            names.setdefault(value, name.replace("_", " "))  # equal figures are shown once
        shown = (f"{name} {value:.4f}" for value, name in names.items())
        self.progress.say(
            f"epoch {epoch:.2f} · validation: {' · '.join(shown)}{' (best)' * is_better}"
        )
        return is_better

    def _save(self, learner: Learner, with_weights: bool) -> None:
        """Writes the checkpoint, and before it the weights if they are the ones to keep."""
        at = self.at
        at.elapsed_s = time.perf_counter() - self.began
        self.metrics.sync()
        at.metrics_bytes = self.metrics.length
        at.flight = None if self.recorder is None else self.recorder.state_dict()
        at.generators = capture_generators()
        # The weights first: if the machine stops in between, the run goes on from the earlier
        # checkpoint and writes the same weights again. The other way round they were lost.
        if with_weights:
            with averaged(self.job.network, at.average):
                write_weights(self.job.run, self.job.network.state_dict())
        save_checkpoint(self.job.run, self.job.network, learner.optimizer, at)

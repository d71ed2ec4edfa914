"""One update: learning rate, loss, gradient, clipping, step."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as lightning
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from throughtime.bptt import Carry
from throughtime.bptt.clipping import Clipped, clip_global_norm
from throughtime.errors import RunError
from throughtime.generators import restore_generators
from throughtime.training.average import take_in
from throughtime.training.checkpoint import Position
from throughtime.training.job import Job
from throughtime.training.options import LoopOptions
from throughtime.training.processes import add_up, add_up_gradients, draw_apart
from throughtime.training.schedule import learning_rate


def build_optimizer(options: LoopOptions, network: nn.Module) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), or plain descent."""
    if options.optimizer == "sgd":
        return SGD(network.parameters(), options.lr)
    return AdamW(network.parameters(), options.lr, weight_decay=options.weight_decay, fused=True)


class Learner(lightning.LightningModule):
    """Makes the updates of a job, from a position on.

    Lightning moves the batches and owns the devices; the update is written out here, so that
    clipping, schedule and carry are in plain sight and in a fixed order.

    Args:
        job: what is trained.
        optimizer: of the job's network.
        at: where the training stands; moves with every update.
    """

    def __init__(self, job: Job, optimizer: Optimizer, at: Position) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = job.network
        self.job, self.optimizer, self.at = job, optimizer, at
        self.lr, self.loss, self.clipped = 0.0, math.nan, Clipped(math.nan, math.nan, False)

    def configure_optimizers(self) -> Optimizer:
        """The optimiser that came from outside, where its checkpoint was read."""
        return self.optimizer

    def on_train_start(self) -> None:
        """Takes up the random numbers where the position left them."""
        self.network.train()
        # Not before: starting a data loader draws from torch's generator too.
        restore_generators(self.at.generators)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One update.

        Raises:
            RunError: the loss or the gradient is not finite.
        """
        at, job = self.at, self.job
        self.lr = learning_rate(job.options, at.update, job.windows)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        draw_apart(job.options.seed, at.update)
        loss, at.carry = job.step(batch, self.carry)
        self.optimizer.zero_grad()
        self.manual_backward(loss)
        add_up_gradients(self.network)
        self.loss = add_up([loss.detach().clone()])[0].item()
        self.clipped = self._clip()
        self.optimizers().step()  # type: ignore[union-attr]  # one optimiser, not a list
        at.update += 1
        if job.options.average:
            at.average = take_in(at.average, self.network, job.options.average, at.update)

    @property
    def carry(self) -> Carry | None:
        """What the next update begins with; an epoch begins without."""
        return None if self.at.update % self.job.windows == 0 else self.at.carry

    def _clip(self) -> Clipped:
        options = self.job.options
        try:
            if not math.isfinite(self.loss):
                raise FloatingPointError(f"the loss is {self.loss}")
            return clip_global_norm(self.network.parameters(), options.clip or math.inf)
        except FloatingPointError as error:
            what = "the gradient is not" if math.isfinite(self.loss) else "so is no gradient"
            replay = f"see throughtime replay {self.job.run}, " if options.record_every else ""
            raise RunError(
                f"loss and gradient of update {self.at.update + 1} must be finite, the loss is "
                f"{self.loss:.4g} and {what}; {replay}train anew with a lower --lr or a lower "
                "--clip."
            ) from error

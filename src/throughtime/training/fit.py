"""The training loop: PyTorch Lightning, started at any update, quiet and exact."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

import lightning.pytorch as lightning
import torch
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from throughtime.record import METRICS, Lines
from throughtime.training.checkpoint import Position
from throughtime.training.flight import Flight, open_recorder
from throughtime.training.interrupt import Interrupt, ignore_interrupts
from throughtime.training.job import Job
from throughtime.training.keeper import Keeper
from throughtime.training.learner import Learner
from throughtime.training.progress import Announce, progress

_EXPECTED_WARNINGS = (
    ".*does not have many workers.*",  # batches are cheap; `workers` is the user's choice
    ".*LeafSpec.*deprecated.*",  # Lightning's use of torch, not ours
    ".*multi-threaded, use of fork.*",  # the workers touch no thread of torch's
    ".*GPU available but not used.*",
)


def fit(job: Job, optimizer: Optimizer, at: Position, announce: Announce) -> bool:
    """Trains from a position to the end, to the user's Ctrl-C, or until patience runs out.

    To Lightning all that is left is one epoch over the batches `at.update ... total`, so that
    nothing of its own state has to be restored: what goes on is in the position alone.

    Args:
        job: what is trained.
        optimizer: of the job's network, its state restored.
        at: where to begin; moved along.
        announce: prints a line.

    Returns:
        Whether the user stopped it; the position says whether it is finished.

    Raises:
        RunError: the run folder cannot be written, or loss or gradient is not finite.

    Note:
        It runs on the CPU: the kernels do, and only there are two runs equal to the bit.
    """
    with (
        closing(Lines(job.run / METRICS, at.metrics_bytes)) as metrics,
        Interrupt() as interrupt,
        progress(job.total, at.update, announce) as shown,
        open_recorder(job, at, shown) or nullcontext() as recorder,
        _quiet(),
    ):
        # The keeper comes last: it saves where the recorder stands after the update.
        flight = [] if recorder is None else [Flight(recorder, shown)]
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=1,
            callbacks=[*flight, Keeper(job, at, metrics, recorder, shown, interrupt)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        trainer.fit(Learner(job, optimizer, at), _loader(job, at.update))
    return interrupt.asked and not at.finished


def _loader(job: Job, first: int) -> DataLoader[object]:
    """Batches `first` to the last one, in order."""
    return DataLoader(
        job.batches,
        batch_size=None,
        sampler=range(first, job.total),
        num_workers=job.options.workers,
        worker_init_fn=ignore_interrupts,
        generator=torch.Generator(),  # its own, or it would draw from the global one
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice on devices and loaders."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)

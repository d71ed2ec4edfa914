"""`throughtime train adding` and `train copy`: can a network remember?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from throughtime.cli.flags import MODEL, PROBLEM, RUN, TRAINING
from throughtime.cli.output import new_folder, say
from throughtime.cli.recipes import refuse_to_predict
from throughtime.errors import RunError
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.memory_options import (
    MemoryOptions,
    MemoryTraining,
    ProblemOptions,
)
from throughtime.tasks.network_options import NetworkOptions

if TYPE_CHECKING:
    from throughtime.training.run import Summary

Problem = Annotated[ProblemOptions, Parameter(name="*", group=PROBLEM)]
Model = Annotated[NetworkOptions, Parameter(name="*", group=MODEL)]
Training = Annotated[MemoryTraining, Parameter(name="*", group=TRAINING)]

NO_PROBLEM, NO_MODEL, NO_TRAINING = ProblemOptions(), NetworkOptions(), MemoryTraining()
"""What holds where no flag is given."""


def train_adding(
    *,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    problem: Problem = NO_PROBLEM,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to add two marked numbers of a long sequence.

    The loss is the squared error; without memory it stays at 1/6 = 0.1667.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        out: New folder for the run. [default: runs/adding-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        problem: How long it must remember.
        model: The network.
        training: How it learns.
    """
    return _train("adding", MemoryOptions(problem, model, training), out)


def train_copy(
    *,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    problem: Problem = NO_PROBLEM,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to repeat ten symbols after a long wait.

    The loss is in nats per step; without memory it stays at 10 ln 8 / (T + 20).

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        out: New folder for the run. [default: runs/copy-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        problem: How long it must remember.
        model: The network.
        training: How it learns.
    """
    return _train("copy", MemoryOptions(problem, model, training), out)


def _train(task: str, options: MemoryOptions, out: Path | None) -> int:
    from throughtime.tasks.memory import train

    return finish(train(task, options, out or new_folder(task), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import memory

    return finish(memory.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """There is nothing to evaluate beside what every validation scores."""
    raise RunError(
        f"evaluate must get a run on texts or images, {run} is of a memory task; its figures on "
        f"sequences held out are in {run / 'metrics.jsonl'}."
    )


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """There is nothing of a user's to predict."""
    raise refuse_to_predict(run, "a memory task", f"look at {run / 'curve.png'}")


def finish(summary: Summary) -> int:
    """The last figures beside the baseline; the exit code."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    scores = [line for line in read_metrics(summary.run) if line["kind"] == "validation"]
    if scores:
        watched = next(name for name in scores[0] if name in ("squared_error", "nats_per_step"))
        best = min(scores, key=lambda line: line[watched])
        print(
            f"\nBest validation, at update {best['update']:,}: {watched.replace('_', ' ')} "
            f"{best[watched]:.4f}, without memory {best['baseline']:.4f}; "
            f"{best['share_right']:.1%} right"
        )
    if summary.interrupted:
        return INTERRUPTED
    print(f"\nThe curve: {summary.run / 'curve.png'}")
    return 0

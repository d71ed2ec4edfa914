"""`throughtime train mnist`: a digit read row by row, or pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from throughtime.cli.flags import MODEL, PROBLEM, RUN, TRAINING
from throughtime.cli.output import new_folder, say
from throughtime.cli.recipes import refuse_to_predict
from throughtime.errors import OptionError
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.mnist_options import (
    MNIST,
    ImageOptions,
    MnistModel,
    MnistOptions,
    MnistTraining,
)

if TYPE_CHECKING:
    from throughtime.training.run import Summary

Problem = Annotated[ImageOptions, Parameter(name="*", group=PROBLEM)]
Model = Annotated[MnistModel, Parameter(name="*", group=MODEL)]
Training = Annotated[MnistTraining, Parameter(name="*", group=TRAINING)]

NO_PROBLEM, NO_MODEL, NO_TRAINING = ImageOptions(), MnistModel(), MnistTraining()
"""What holds where no flag is given."""


def train_mnist(
    *,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    problem: Problem = NO_PROBLEM,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to recognise a handwritten digit that it reads in steps.

    The last 5,000 training images choose the best network; throughtime evaluate RUN shows it the
    test images.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        out: New folder for the run. [default: runs/mnist-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        problem: What it reads.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.mnist import train

    options = MnistOptions(problem, model, training)
    return finish(train(options, out or new_folder(MNIST), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import mnist

    return finish(mnist.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """Prints how well a run recognises the test images."""
    if paths:
        raise OptionError(
            f"evaluate must get an {MNIST} run alone, got {paths[0]} too; leave it out: "
            "the test images are in the run's own folder of images."
        )
    from throughtime.tasks import mnist

    found = mnist.evaluate(run)
    print(f"{found.share_right:8.2%}  of the test images right")
    print(f"{found.nats_per_image:8.4f}  nats per image")
    print(f"over {found.images:,} images")


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """There is no command that reads a user's own images."""
    raise refuse_to_predict(run, MNIST, f"see how good it is: throughtime evaluate {run}")


def finish(summary: Summary) -> int:
    """The best figures and what to try next; the exit code."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    scores = [line for line in read_metrics(summary.run) if line["kind"] == "validation"]
    if scores:
        best = min(scores, key=lambda line: line["nats_per_image"])
        print(
            f"\nBest validation, at update {best['update']:,}: {best['nats_per_image']:.4f} nats "
            f"per image, {best['share_right']:.2%} right"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime evaluate {summary.run}")
    print(f"  open {summary.run / 'curve.png'}")
    return 0

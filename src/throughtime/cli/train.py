"""`throughtime train`: a new run, or a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from throughtime.cli.flags import (
    NO_MODEL,
    NO_TEXT,
    NO_TRAINING,
    RUN,
    HiddenModel,
    HiddenText,
    HiddenTraining,
    Model,
    Text,
    Training,
    differences,
    to_options,
)
from throughtime.cli.output import new_folder, say
from throughtime.errors import OptionError
from throughtime.tasks.mnist_options import MNIST
from throughtime.tasks.options import TASK, LanguageModelOptions

if TYPE_CHECKING:
    from throughtime.training.run import Summary

app = App(name="train", help="Train a network, or go on with a run that was stopped.", sort_key=2)
app["--help"].group = "Options"


@app.command(
    name="language-model",
    usage="Usage: throughtime train language-model [OPTIONS] [PATHS...]",
)
def train_language_model(
    *paths: str,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    text: Text = NO_TEXT,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a recurrent network to predict the next character, piece or word of a text.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        paths: Text files, folders or globs; none: the source code of Python's standard library.
        out: New folder for the run. [default: runs/language-model-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        text: What is read.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.language_model import train

    options = to_options(paths, text, model, training)
    return _finish(train(options, out or new_folder("language-model"), say))


@app.default
def resume(
    *task: Annotated[str, Parameter(show=False)],
    resume: Annotated[Path | None, Parameter(group="Options")] = None,
    out: Annotated[Path | None, Parameter(show=False)] = None,
    config: Annotated[Path | None, Parameter(show=False)] = None,
    text: HiddenText = NO_TEXT,
    model: HiddenModel = NO_MODEL,
    training: HiddenTraining = NO_TRAINING,
) -> int:
    """Train a network, or go on with a run that was stopped.

    Args:
        task: Only here to be refused with a good word.
        resume: Folder of a run: goes on from its last checkpoint, with its own options, to the
            same numbers as if it had never stopped.
        out: Here to be refused, like the task.
        config: Here to be refused, too.
        text: The run's own.
        model: The run's own.
        training: The run's own.
    """
    asked = to_options((), text, model, training)
    if resume is None:
        _refuse_flags_without_task(asked)
        from throughtime.cli.app import app as whole

        whole.help_print(["train"])
        return 0
    for flag, value in (("--out", out), ("--config", config)):
        if value is not None:
            raise OptionError(
                f"{flag} must be left out with --resume, got {value}; "
                "a run goes on in its own folder with its own options."
            )
    from throughtime import record

    if (kind := record.read_config(resume)["task"]) != TASK:
        return _resume_other(resume, kind, asked)
    from throughtime.tasks import language_model

    for flag, came, expected in differences(asked, language_model.read_options(resume)):
        raise OptionError(
            f"{flag} must be {expected} as in {resume}, got {came}; leave it out, or begin a new "
            f"run: throughtime train language-model --config {resume / 'config.yaml'} {flag} {came}"
        )
    return _finish(language_model.resume(resume, say))


def _resume_other(run: Path, task: str, asked: LanguageModelOptions) -> int:
    """Goes on with a run of another task, whose flags this command does not know."""
    for flag, came, _ in differences(asked, LanguageModelOptions()):
        raise OptionError(
            f"{flag} must be left out with --resume, got {came}; "
            f"the {task} run in {run} goes on with its own options."
        )
    from throughtime.cli import memory as memory_command
    from throughtime.cli import mnist as mnist_command
    from throughtime.tasks import memory, mnist

    if task == MNIST:
        return mnist_command.finish(mnist.resume(run, say))
    return memory_command.finish(memory.resume(run, say))


def _refuse_flags_without_task(asked: LanguageModelOptions) -> None:
    flags = [flag for flag, _, _ in differences(asked, LanguageModelOptions())]
    if flags:
        raise OptionError(
            f"{flags[0]} needs a task to train, got none; "
            f"write throughtime train language-model {flags[0]} ..."
        )


def _finish(summary: Summary) -> int:
    """The last figures and what to try next."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    run = summary.run
    scores = [line for line in read_metrics(run) if line["kind"] == "validation"]
    if scores:
        best = min(scores, key=lambda line: line["nats_per_token"])
        print(
            f"\nBest validation, at update {best['update']:,}: "
            f"{best['bits_per_character']:.4f} bits per character "
            f"({best['nats_per_character']:.4f} nats), perplexity {best['perplexity']:.2f} a token"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime generate {run} --length 1000 --temperature 0.7")
    if scores:
        print(f"  throughtime evaluate {run}")
    print(f"  open {run / 'curve.png'}")
    return 0

"""From a run to what its task can do: one place that knows which module serves which task."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Protocol, get_args

from throughtime.errors import OptionError, RunError
from throughtime.tasks.captioning_options import CAPTIONING
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.memory_options import Task
from throughtime.tasks.mnist_options import MNIST
from throughtime.tasks.options import TASK
from throughtime.tasks.sentiment_options import SENTIMENT
from throughtime.tasks.translation_options import TRANSLATION
from throughtime.tasks.video_options import VIDEO

TASKS = (TASK, *get_args(Task), MNIST, SENTIMENT, TRANSLATION, CAPTIONING, VIDEO)
"""What can be trained, by the names of the command line and the run folder."""


class Recipe(Protocol):
    """What the module of each task has for the commands that are the same for all of them."""

    def resume(self, run: Path) -> int:
        """Goes on with a run; the exit code."""
        ...

    def evaluate(self, run: Path, paths: tuple[str, ...]) -> None:
        """Prints how good a run is, on these files or on what it kept for that."""
        ...

    def predict(
        self, run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
    ) -> None:
        """Prints what a run says of these files, or of the standard input."""
        ...


def recipe_of(run: Path) -> Recipe:
    """The module that serves the task of a run.

    Raises:
        RunError: the folder is no run, or of a task that this version does not know.
    """
    from throughtime.record import read_config

    task = read_config(run)["task"]
    if task == TASK:
        from throughtime.cli import language_model

        return language_model
    if task in get_args(Task):
        from throughtime.cli import memory

        return memory
    if task == MNIST:
        from throughtime.cli import mnist

        return mnist
    if task == SENTIMENT:
        from throughtime.cli import sentiment

        return sentiment
    if task == TRANSLATION:
        from throughtime.cli import translation

        return translation
    if task == CAPTIONING:
        from throughtime.cli import captioning

        return captioning
    if task == VIDEO:
        from throughtime.cli import video

        return video
    raise RunError(
        f"the run must be of the task {', '.join(TASKS)}, {run} is of {task}; update throughtime."
    )


def refuse_to_predict(run: Path, task: str, instead: str) -> RunError:
    """The answer of a task that has nothing to predict.

    Args:
        run: the run folder.
        task: what it is of.
        instead: what to do.
    """
    known = f"{SENTIMENT}, {TRANSLATION}, {CAPTIONING} or {VIDEO}"
    return RunError(f"predict must get a run of {known}, {run} is of {task}; {instead}.")


def refuse_decoding(task: str, how: Decoding) -> None:
    """Refuses flags of decoding for a task that writes no sentences, or always in the same way.

    Raises:
        OptionError: one of them was given.
    """
    for field in fields(how):
        if (value := getattr(how, field.name)) is not None:
            raise OptionError(
                f"--{field.name.replace('_', '-')} must come with a run of {TRANSLATION} or "
                f"{CAPTIONING}, got {value} for one of {task}; leave it out."
            )

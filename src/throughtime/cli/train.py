"""`throughtime train`: a new run, or a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from throughtime.cli.flags import (
    NO_MODEL,
    NO_TEXT,
    NO_TRAINING,
    HiddenModel,
    HiddenText,
    HiddenTraining,
    differences,
    to_options,
)
from throughtime.cli.recipes import recipe_of
from throughtime.errors import OptionError
from throughtime.tasks.options import TASK, LanguageModelOptions

app = App(name="train", help="Train a network, or go on with a run that was stopped.", sort_key=2)
app["--help"].group = "Options"


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
    _refuse_other_flags(resume, asked)
    return recipe_of(resume).resume(resume)


def _refuse_other_flags(run: Path, asked: LanguageModelOptions) -> None:
    """Refuses flags that would change a run; this command knows those of language models alone."""
    from throughtime import record
    from throughtime.tasks import language_model

    if (task := record.read_config(run)["task"]) != TASK:
        for flag, came, _ in differences(asked, LanguageModelOptions()):
            raise OptionError(
                f"{flag} must be left out with --resume, got {came}; "
                f"the {task} run in {run} goes on with its own options."
            )
        return
    for flag, came, expected in differences(asked, language_model.read_options(run)):
        raise OptionError(
            f"{flag} must be {expected} as in {run}, got {came}; leave it out, or begin a new "
            f"run: throughtime train language-model --config {run / 'config.yaml'} {flag} {came}"
        )


def _refuse_flags_without_task(asked: LanguageModelOptions) -> None:
    flags = [flag for flag, _, _ in differences(asked, LanguageModelOptions())]
    if flags:
        raise OptionError(
            f"{flags[0]} needs a task to train, got none; "
            f"write throughtime train language-model {flags[0]} ..."
        )

"""The flags of a training: the fields of its options, sorted into groups of the help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import (
    Annotated,
    Any,
    Literal,  # noqa: F401  (cyclopts looks up the inherited annotations in this module)
)

from cyclopts import Group, Parameter

from throughtime.tasks.options import (
    LanguageModelOptions,
    ModelOptions,
    TextOptions,
    TrainingOptions,
)

RUN, TEXT, PROBLEM, CLIPS, MODEL, TRAINING = (
    Group.create_ordered(name) for name in ("Run", "Text", "Problem", "Clips", "Model", "Training")
)
SECTIONS = {"text": TextOptions, "model": ModelOptions, "training": TrainingOptions}
"""The parts of a run's options, as its configuration file names them."""


@dataclass(frozen=True)
class TextFlags(TextOptions):
    """The options of the text without the paths: those come as plain words."""

    paths: Annotated[tuple[str, ...], Parameter(parse=False)] = ()


Text = Annotated[TextFlags, Parameter(name="*", group=TEXT)]
Model = Annotated[ModelOptions, Parameter(name="*", group=MODEL)]
Training = Annotated[TrainingOptions, Parameter(name="*", group=TRAINING)]
HiddenText = Annotated[TextFlags, Parameter(name="*", show=False)]
HiddenModel = Annotated[ModelOptions, Parameter(name="*", show=False)]
HiddenTraining = Annotated[TrainingOptions, Parameter(name="*", show=False)]

NO_TEXT, NO_MODEL, NO_TRAINING = TextFlags(), ModelOptions(), TrainingOptions()
"""What holds where no flag is given."""


def to_options(
    paths: tuple[str, ...], text: TextFlags, model: ModelOptions, training: TrainingOptions
) -> LanguageModelOptions:
    """The options that paths and flags stand for."""
    values = {field.name: getattr(text, field.name) for field in fields(TextOptions)}
    return LanguageModelOptions(TextOptions(**values | {"paths": paths}), model, training)


def to_flag(name: str) -> str:
    """The flag of a field.

    Example:
        >>> to_flag("weight_decay")
        '--weight-decay'
    """
    return "--" + name.replace("_", "-")


def differences(
    asked: LanguageModelOptions, kept: LanguageModelOptions
) -> Iterator[tuple[str, Any, Any]]:
    """Flag, asked and kept value of each option that differs; paths are not compared."""
    for section, kind in SECTIONS.items():
        for field in fields(kind):
            here, there = (getattr(getattr(o, section), field.name) for o in (asked, kept))
            if field.name != "paths" and here != there:
                yield to_flag(field.name), here, there

"""Language-model runs that take a fraction of a second."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from throughtime.record import read_metrics
from throughtime.tasks.options import (
    LanguageModelOptions,
    ModelOptions,
    TextOptions,
    TrainingOptions,
)

WORDS = ["to", "be", "or", "not", "that", "is", "the", "question", "whether", "nobler"]
TEXT = "".join(WORDS[i * i % 7 + i % 4] + (" " if i % 5 else "\n") for i in range(400))


def tiny_options(folder, text=None, model=None, **training):
    """Two small layers with dropout on some 2,000 characters, three epochs of shuffled windows."""
    path = Path(folder, "text.txt")
    path.write_text(TEXT)
    return LanguageModelOptions(
        TextOptions(**({"paths": (str(path),)} | (text or {}))),
        ModelOptions(**({"hidden": 5, "dropout": 0.3} | (model or {}))),
        TrainingOptions(
            **(
                {"window": 7, "batch": 6, "epochs": 2, "warmup": 5, "validate_every": 17}
                | {"checkpoint_every": 8, "threads": 1}
                | training
            )
        ),
    )


def with_training(options, **changes):
    """The same options with some of the training's replaced."""
    return replace(options, training=replace(options.training, **changes))


@pytest.fixture(autouse=True, scope="module")
def threads_as_before():
    """Runs set torch's threads; the tests after them keep their own."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def quiet(line):
    """Announces nothing."""


def losses(run):
    """Everything in the metrics that must not depend on when a run was stopped."""
    clocks = {"steps_per_s", "elapsed_s"}
    return [{k: v for k, v in line.items() if k not in clocks} for line in read_metrics(run)]


def weight_bytes(run):
    """The bytes of the weights file."""
    return (Path(run) / "model.safetensors").read_bytes()

"""What a run on MNIST can be told, and the defaults; the run folder keeps all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from throughtime.tasks.network_options import NetworkOptions
from throughtime.tasks.options import read_task
from throughtime.training.options import (
    MOST,
    LoopOptions,
    at_least,
    at_most,
    check_types,
    one_of,
    share,
)

MNIST = "mnist"
"""The task's name in the run folder and on the command line."""

PIXELS = 784
"""Of an image."""

READINGS = {"rows": 28, "pixels": 1}
"""Ways to read an image, and the pixels of a step."""


@dataclass(frozen=True)
class ImageOptions:
    """Which images, and how they become sequences."""

    data: str = ""
    """Folder with MNIST's four files, `train-images-idx3-ubyte` and so on, plain or `.gz`."""

    by: Literal["rows", "pixels"] = "rows"
    """What a step reads: a row of 28 pixels, 28 steps in all, or one pixel, 784 steps."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("by", self.by, tuple(READINGS))

    @property
    def inputs(self) -> int:
        """I, pixels of a step."""
        return READINGS[self.by]

    @property
    def steps(self) -> int:
        """T, steps of an image."""
        return PIXELS // self.inputs


@dataclass(frozen=True)
class MnistModel(NetworkOptions):
    """The network: recurrent layers and a readout of the last step."""

    layers: int = 1
    """Stacked recurrent layers."""

    dropout: float = 0.0
    """Share of values dropped between the layers and before the readout while training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("layers", self.layers, 1)
        at_most("layers", self.layers, MOST)
        share("dropout", self.dropout)


@dataclass(frozen=True)
class MnistTraining(LoopOptions):
    """The optimiser, on the training images in a new order every epoch."""

    batch: int = 128
    """Images side by side in an update."""

    epochs: int = 10
    """Passes over the training images."""

    lr: float = 0.002
    """Learning rate at its highest; an irnn wants a lower one, some 0.0005."""


@dataclass(frozen=True)
class MnistOptions:
    """Everything a run on MNIST is made from."""

    problem: ImageOptions = field(default_factory=ImageOptions)
    model: MnistModel = field(default_factory=MnistModel)
    training: MnistTraining = field(default_factory=MnistTraining)


def read_mnist_options(run: Path) -> MnistOptions:
    """The full options of a run on MNIST.

    Raises:
        RunError: the folder is no run on MNIST, or its configuration is damaged.
    """
    return read_task(run, {MNIST: MnistOptions})[1]

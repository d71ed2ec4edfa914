"""What any training can be told; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from throughtime.errors import OptionError

Optimizer = Literal["adam", "sgd"]
Schedule = Literal["cosine", "constant", "step"]


@dataclass(frozen=True)
class TrainingOptions:
    """Truncated BPTT and the optimiser."""

    window: int = 128
    """New steps per update, k1 of truncated BPTT."""

    reach: int | None = None
    """Steps a gradient travels back, k2 of truncated BPTT; without it, the window."""

    batch: int = 32
    """Streams of text read side by side."""

    epochs: int = 10
    """Passes over the training text."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam with decoupled weight decay, or plain gradient descent."""

    lr: float = 0.002
    """Learning rate at its highest."""

    schedule: Literal["cosine", "constant", "step"] = "cosine"
    """Learning rate over time: down along a cosine, constant, or cut once per epoch."""

    warmup: int = 100
    """Updates in which the learning rate rises from zero (cosine only)."""

    decay: float = 0.5
    """Factor per epoch of the step schedule."""

    decay_after: int = 4
    """Epochs before the step schedule begins to cut."""

    weight_decay: float = 0.0
    """Decoupled weight decay per update and unit of learning rate (Adam only)."""

    clip: float = 1.0
    """Largest global norm of the gradient; 0 switches clipping off."""

    shuffle: bool = True
    """Begin each epoch at another place of the text."""

    patience: int = 0
    """Validations without a better result before training stops; 0 switches it off."""

    validate_every: int | None = None
    """Updates between validations; without it, once per epoch."""

    checkpoint_every: int = 500
    """Updates between checkpoints; validations write one too."""

    seed: int = 1
    """Seed of every random draw."""

    threads: int | None = None
    """Threads torch may use; without it, torch's own choice."""

    workers: int = 0
    """Processes that prepare batches beside the training."""

    def __post_init__(self) -> None:
        for name in ("window", "batch", "epochs", "checkpoint_every"):
            at_least(name, getattr(self, name), 1)
        for name in (
            "warmup",
            "decay_after",
            "weight_decay",
            "clip",
            "patience",
            "workers",
            "seed",
        ):
            at_least(name, getattr(self, name), 0)
        for name in ("validate_every", "threads"):
            at_least(name, getattr(self, name), 1)
        at_least("reach", self.reach, self.window)
        above_zero("lr", self.lr)
        above_zero("decay", self.decay)
        one_of("optimizer", self.optimizer, get_args(Optimizer))
        one_of("schedule", self.schedule, get_args(Schedule))


def at_least(name: str, value: float | None, lowest: float) -> None:
    """Refuses a number below the lowest one; None means that it was left out.

    Raises:
        OptionError: the number is too small.
    """
    if value is not None and not value >= lowest:
        raise OptionError(f"{name} must be at least {lowest}, got {value}; raise it.")


def above_zero(name: str, value: float | None) -> None:
    """Refuses a number that is not above zero; None means that it was left out.

    Raises:
        OptionError: the number is too small.
    """
    if value is not None and not value > 0:
        raise OptionError(f"{name} must be above 0, got {value}; raise it.")


def share(name: str, value: float) -> None:
    """Refuses a number outside [0, 1).

    Raises:
        OptionError: the number is outside.
    """
    if not 0 <= value < 1:
        raise OptionError(f"{name} must be at least 0 and below 1, got {value}; it is a share.")


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuses a name that is not known, and lists those that are.

    Raises:
        OptionError: the name is unknown.
    """
    if value not in known:
        raise OptionError(f"{name} must be one of {', '.join(known)}, got {value!r}; choose one.")

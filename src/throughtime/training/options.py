"""What any training can be told; imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any, Literal, get_args, get_type_hints

from throughtime.errors import OptionError

Optimizer = Literal["adam", "sgd"]
Schedule = Literal["cosine", "constant", "step"]

MOST = 2**31 - 1
"""Largest count; products of two of them still fit the integers of torch."""

LAST_SEED = 2**63 - 1
"""Largest seed that every source of random numbers takes."""

MOST_THREADS = 1024
"""More than any machine needs, fewer than systems refuse to start.

The same on all machines, so that a run goes on on a smaller one.
"""


@dataclass(frozen=True)
class LoopOptions:
    """The optimiser and the loop, whatever is learnt."""

    batch: int = 32
    """Sequences side by side in an update."""

    epochs: int = 10
    """Passes over what there is to learn from."""

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

    average: float = 0.0
    """Decay of the average of the weights that is validated and kept; 0 keeps the last ones."""

    patience: int = 0
    """Validations without a better result before training stops; 0 switches it off."""

    validate_every: int | None = None
    """Updates between validations; without it, once per epoch."""

    checkpoint_every: int = 500
    """Updates between checkpoints; validations write one too."""

    record_every: int = 100
    """Updates between readings of the flight recorder, which warns early; 0 switches it off."""

    seed: int = 1
    """Seed of every random draw."""

    threads: int | None = None
    """Threads torch may use; without it, torch's own choice."""

    workers: int = 0
    """Processes that prepare batches beside the training."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("batch", "epochs", "checkpoint_every", "validate_every", "threads"):
            at_least(name, getattr(self, name), 1)
        for name in (
            "warmup",
            "decay_after",
            "weight_decay",
            "clip",
            "patience",
            "record_every",
            "workers",
        ):
            at_least(name, getattr(self, name), 0)
        for name in ("batch", "epochs"):
            at_most(name, getattr(self, name), MOST)
        for name in ("threads", "workers"):
            at_most(name, getattr(self, name), MOST_THREADS)
        check_seed(self.seed)
        share("average", self.average)
        above_zero("lr", self.lr)
        above_zero("decay", self.decay)
        at_most("decay", self.decay, 1)
        one_of("optimizer", self.optimizer, get_args(Optimizer))
        one_of("schedule", self.schedule, get_args(Schedule))


@dataclass(frozen=True)
class TrainingOptions(LoopOptions):
    """Truncated BPTT over a text, and the optimiser."""

    batch: int = 32
    """Streams of text read side by side."""

    epochs: int = 10
    """Passes over the training text."""

    window: int = 128
    """New steps per update, k1 of truncated BPTT."""

    reach: int | None = None
    """Steps a gradient travels back, k2 of truncated BPTT; without it, the window."""

    shuffle: bool = True
    """Begin each epoch at another place of the text."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("window", self.window, 1)
        at_least("reach", self.reach, self.window)
        for name in ("window", "reach"):
            at_most(name, getattr(self, name), MOST)


_KINDS: dict[Any, tuple[tuple[type, ...], str, str]] = {
    int: ((int,), "a whole number", "write digits only"),
    float: ((int, float), "a finite number", "write one like 0.5"),
    bool: ((bool,), "true or false", "write one of the two"),
    str: ((str,), "text", "put it in quotes"),
    tuple[str, ...]: ((tuple, list), "a list of texts", "write [a.txt, b.txt]"),
}
"""By the type of a field: the types its values may have, what to expect, what to do."""


def check_types(options: object) -> None:
    """Refuses values of another type than their field's, and floats that are not finite.

    A field of names is left to `one_of`, which lists them.

    Args:
        options: a dataclass.

    Raises:
        OptionError: a value has another type.
    """
    for name, hint in get_type_hints(type(options)).items():
        value = getattr(options, name)
        kind = next((k for k in (hint, *get_args(hint)) if k in _KINDS), None)
        if kind is None or (value is None and type(None) in get_args(hint)):
            continue
        types, expected, remedy = _KINDS[kind]
        fits = isinstance(value, types) and isinstance(value, bool) == (kind is bool)
        if fits and kind is float:
            fits = abs(value) <= sys.float_info.max
        if fits and isinstance(value, tuple | list):
            fits = all(isinstance(entry, str) for entry in value)
        if not fits:
            raise OptionError(f"{name} must be {expected}, got {brief(value)}; {remedy}.")


def check_seed(seed: int) -> None:
    """Refuses a seed that a source of random numbers does not take.

    Raises:
        OptionError: the seed is negative or too large.
    """
    at_least("seed", seed, 0)
    at_most("seed", seed, LAST_SEED)


def at_most(name: str, value: float | None, highest: float) -> None:
    """Refuses a number above the highest one; None means that it was left out.

    Raises:
        OptionError: the number is too large.
    """
    if value is not None and not value <= highest:
        raise OptionError(f"{name} must be at most {highest}, got {value}; lower it.")


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


def own_files(validation: Sequence[str], paths: Sequence[str]) -> None:
    """Refuses files of validation where generated data are learnt.

    Raises:
        OptionError: there are such files, and none to learn from.
    """
    if validation and not paths:
        raise OptionError(
            f"validation must come with files to learn from, got {', '.join(validation)} alone; "
            "name those files first."
        )


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuses a name that is not known, and lists those that are.

    Raises:
        OptionError: the name is unknown.
    """
    if value not in known:
        raise OptionError(f"{name} must be one of {', '.join(known)}, got {value!r}; choose one.")

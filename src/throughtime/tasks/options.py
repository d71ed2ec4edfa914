"""What a language-model run can be told, and the defaults; the run folder keeps all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class TextOptions:
    """What is read and how it is cut into tokens."""

    paths: tuple[str, ...] = ()
    """Text files, folders or globs; none: the source code of Python's standard library."""

    validation: str | None = None
    """A text to validate on; without it, the end of the training text."""

    validation_share: float = 0.1
    """Share of the text kept for validation when there is no validation file."""

    tokens: Literal["characters", "bpe", "words"] = "characters"
    """Characters, byte-pair pieces, or words between blanks with an end-of-line mark."""

    vocabulary: int = 8000
    """Most entries in the vocabulary of byte-pair pieces or words."""


@dataclass(frozen=True)
class ModelOptions:
    """The network."""

    cell: Literal["lstm", "gru", "rnn", "rnn-relu"] = "lstm"
    """The recurrent cell."""

    hidden: int = 256
    """Hidden units per layer."""

    layers: int = 2
    """Stacked recurrent layers."""

    embedding: int | None = None
    """Size of a token's embedding; without it, that of a hidden state, at most 256."""

    tied: bool = False
    """Share the embedding's weights with the readout."""

    dropout: float = 0.2
    """Share of values dropped before, between and after the layers while training."""

    init_scale: float | None = None
    """Draw every weight from [-s, s]; without it, torch's own initialisation."""


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
    """Updates in which the learning rate rises from zero."""

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


@dataclass(frozen=True)
class LanguageModelOptions:
    """Everything a language-model run is made from."""

    text: TextOptions = field(default_factory=TextOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)

"""The texts of a sentiment run: read, checked, split, cut into words, turned into numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.data.labelled import Labelled, read_labelled
from throughtime.data.reviews import reviews
from throughtime.data.split import hold_out
from throughtime.data.subwords import Lexicon, Sentences
from throughtime.data.tables import full_path
from throughtime.data.word_split import split_words
from throughtime.data.words import Words
from throughtime.errors import DataError
from throughtime.tasks.classes import number_labels
from throughtime.tasks.sentiment_options import LabelledOptions
from throughtime.training.processes import Team

ALONE = Team()

EXAMPLES = 3000
"""Reviews that are generated where no table is named."""


@dataclass(frozen=True)
class Texts:
    """Training and validation texts, and what identifies them."""

    training: Labelled
    validation: Labelled
    """Empty without validation."""

    excluded: int
    """Training texts taken out because a table of `exclude` has them."""

    def origin(self) -> dict[str, Any]:
        """Counts and hashes, for the run folder."""
        return {
            "training": {"texts": len(self.training), "sha256": self.training.sha256()},
            "validation": {"texts": len(self.validation), "sha256": self.validation.sha256()},
            "excluded": self.excluded,
        }


@dataclass(frozen=True)
class Encoded:
    """Texts as a network reads them."""

    words: list[list[str]]
    """The words of each text that are read."""

    classes: NDArray[np.int64]
    """The class of each text, [N]."""

    cut: int
    """Texts with more words than are read."""

    def lengths(self) -> NDArray[np.int64]:
        """Words of each text, [N]."""
        return np.array([len(words) for words in self.words], np.int64)

    def batch(
        self, lexicon: Lexicon, places: NDArray[np.int64], team: Team = ALONE
    ) -> tuple[Sentences, Tensor]:
        """What this process has of the texts at some places, side by side.

        Returns:
            The texts, and their classes, int64 [B].
        """
        rows = team.share(places)
        return lexicon.join([self.words[i] for i in rows]), torch.from_numpy(self.classes[rows])


def read_texts(options: LabelledOptions, seed: int) -> Texts:
    """The texts that a run learns from and chooses by.

    Without a table for it, the validation is a share of the training texts drawn from the seed.

    Raises:
        DataError: a table cannot be read, or there are too few texts or classes.
        PackageError: what reads a table is not installed.
    """
    columns = options.text_column, options.label_column
    training = read_labelled(options.paths, *columns) if options.paths else reviews(EXAMPLES, 0)
    found = len(training)
    if options.exclude:
        secret = {_key(text, options) for text in read_labelled(options.exclude, *columns).texts}
        places = [i for i, text in enumerate(training.texts) if _key(text, options) not in secret]
        training = training.take(places)
    excluded = found - len(training)
    if options.validation:
        validation = read_labelled(options.validation, *columns)
    else:
        learnt, held_out = hold_out(len(training), options.validation_share, seed)
        training, validation = training.take(learnt), training.take(held_out)
    if len(classes := training.counts()) < 2:
        raise DataError(
            f"the training texts must have two labels or more, {len(training):,} texts have "
            f"{', '.join(classes) or 'none'}; give texts of every class."
        )
    return Texts(training, validation, excluded)


def _key(text: str, options: LabelledOptions) -> tuple[str, ...]:
    return tuple(split_words(text, options.punctuation))


def build_words(texts: Labelled, options: LabelledOptions) -> Words:
    """The vocabulary of a new run: the most frequent words of its training texts.

    Raises:
        DataError: the texts hold no word.
    """
    pieces = (" ".join(split_words(text, options.punctuation)) for text in texts.texts)
    return Words.build(" ".join(pieces), options.vocabulary)


def encode(texts: Labelled, classes: Sequence[str], options: LabelledOptions, name: str) -> Encoded:
    """Labelled texts cut into words, none left out.

    Args:
        texts: what is encoded.
        classes: the labels, in the order of their numbers.
        options: how texts are cut.
        name: what an error calls the texts.

    Raises:
        DataError: a label is none of the classes.
    """
    numbers = number_labels(classes, texts.counts(), name, "rows")
    whole = [split_words(text, options.punctuation) for text in texts.texts]
    return Encoded(
        [words[: options.longest] for words in whole],
        np.array([numbers[label] for label in texts.labels], np.int64),
        sum(len(words) > options.longest for words in whole),
    )


def with_full_paths(options: LabelledOptions) -> LabelledOptions:
    """The same options, readable from any working directory."""
    return replace(
        options,
        paths=tuple(map(full_path, options.paths)),
        validation=tuple(map(full_path, options.validation)),
        exclude=tuple(map(full_path, options.exclude)),
    )

"""The pictures and captions of a captioning run: read, checked, split, turned into numbers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from throughtime.data.buckets import pad
from throughtime.data.captions import Captioned, read_captioned
from throughtime.data.drawn_shapes import write_shapes
from throughtime.data.pictures import name_of
from throughtime.data.split import hold_out
from throughtime.data.tables import full_path
from throughtime.data.tokens import Tokens, build_tokens
from throughtime.data.word_split import split_words
from throughtime.errors import DataError
from throughtime.record.feature_file import FeatureFile
from throughtime.tasks.captioning_encoders import Encoder
from throughtime.tasks.captioning_features import (
    FLIPPED,
    extend_features,
    hash_pictures,
)
from throughtime.tasks.captioning_options import CaptionedOptions
from throughtime.training.processes import Team, join
from throughtime.training.progress import Announce

ALONE = Team()

DRAWN = {"training": 1800, "validation": 100, "test": 100}
"""Pictures of shapes that are drawn where no list is named."""


class Batch(NamedTuple):
    """Captions and their pictures, side by side.

    Args:
        features: of the pictures, float16 [B, P, F].
        tokens: the mark, the words, the mark; int64 [T + 1, B], 0 behind the end of a caption.
        steps: words of each and one mark, T_b, int64 [B].
    """

    features: Tensor
    tokens: Tensor
    steps: Tensor


@dataclass(frozen=True)
class Known:
    """Pictures whose features are known, with their captions."""

    captioned: Captioned
    keys: list[str]
    """What tells each picture from others, as in the file of features."""

    skipped: dict[str, str]
    """Why pictures were skipped, by their names."""

    def origin(self) -> dict[str, Any]:
        """Counts and hashes, for the run folder."""
        return {
            "pictures": len(self.keys),
            "captions": self.captioned.count,
            "sha256": self.captioned.sha256(),
            "sha256_pictures": _hash(self.keys),
            "skipped": list(self.skipped),
        }


@dataclass(frozen=True)
class Encoded:
    """Captions as a network reads them."""

    features: FeatureFile
    rows: NDArray[np.int64]
    """The row of the picture of each caption, [N]."""

    tokens: list[NDArray[np.int64]]
    """The words of each caption that are read."""

    mark: int
    """What begins and ends a caption."""

    cut: int
    """Captions with more words than are read."""

    def lengths(self) -> NDArray[np.int64]:
        """Steps of each caption, its words and the mark, [N]."""
        return np.array([len(words) + 1 for words in self.tokens], np.int64)

    def batch(self, places: NDArray[np.int64], team: Team = ALONE) -> Batch:
        """What this process has of the captions at some places, side by side."""
        rows = team.share(places)
        marked = [np.array([self.mark, *self.tokens[i], self.mark]) for i in rows]
        tokens, lengths = pad(marked, shortest=2)
        return Batch(torch.from_numpy(self.features.read(self.rows[rows])), tokens, lengths - 1)


def read_lists(options: CaptionedOptions, seed: int) -> tuple[Captioned, Captioned]:
    """What a run learns from and chooses by: the lists, or drawn shapes.

    Without a list for it, the validation is a share of the training pictures drawn from the seed.

    Raises:
        DataError: a list cannot be read, or holds too little.
        PackageError: what reads a list is not installed.
    """
    if not options.paths:
        return drawn_shapes(options, "training"), drawn_shapes(options, "validation")
    columns = options.image_column, options.caption_column
    training = read_captioned(options.paths, *columns)
    if options.validation:
        return training, read_captioned(options.validation, *columns)
    learnt, held_out = hold_out(len(training), options.validation_share, seed)
    return training.take(learnt), training.take(held_out)


def drawn_shapes(options: CaptionedOptions, part: str) -> Captioned:
    """A part of the drawn shapes, in the folder of the features; drawn where it is not there.

    Args:
        options: its `features`.
        part: `training`, `validation` or `test`.
    """
    table = Path(options.features) / f"shapes-{part}.jsonl"
    team = join()
    if not table.is_file() and not team.rank:
        write_shapes(table, DRAWN[part], list(DRAWN).index(part))
    if team.size > 1:
        distributed.barrier()
    return read_captioned([str(table)], "image", None)


def know(
    captioned: Captioned,
    features: FeatureFile,
    encoder: Encoder,
    options: CaptionedOptions,
    announce: Announce,
    is_flipped: bool = False,
) -> Known:
    """Pictures with features each: those that cannot be read are refused or skipped, and named.

    Args:
        captioned: pictures and captions.
        features: where features are kept; extended by what is missing.
        encoder: makes them.
        options: its `corrupt`.
        announce: prints a line.
        is_flipped: whether the mirror images' features are needed, too.

    Raises:
        DataError: a picture cannot be read, and is not to be skipped; or none can.
    """
    keys, skipped = hash_pictures(captioned.pictures)
    pictures = {key: one for key, one in zip(keys, captioned.pictures, strict=True) if key}
    bad = extend_features(features, encoder, pictures, is_flipped, announce)
    for key, source in zip(keys, captioned.pictures, strict=True):
        if key in bad:
            skipped[name_of(source)] = bad[key]
    if skipped and options.corrupt == "refuse":
        raise DataError(
            f"{next(iter(skipped.values()))} {len(skipped):,} of {len(keys):,} pictures cannot be "
            "read; --corrupt skip leaves such pictures out, counts and lists them."
        )
    kept = [place for place, key in enumerate(keys) if key and key not in bad]
    if not kept:
        raise DataError(
            f"there must be a picture that can be read, of {len(keys):,} none can; check the lists."
        )
    return Known(captioned.take(kept), [keys[place] for place in kept], skipped)


def build_vocabulary(captioned: Captioned, options: CaptionedOptions) -> Tokens:
    """The vocabulary of a new run: words or pieces of its training captions.

    Raises:
        DataError: the captions hold no word.
    """
    texts = [clean(text) for captions in captioned.captions for text in captions]
    vocabulary = options.vocabulary
    if options.tokens == "words":
        counts = Counter(word for text in texts for word in text.split())
        known = sum(count >= options.rarest for count in counts.values())
        vocabulary = min(vocabulary, known + 2)  # two marks
    return build_tokens(options.tokens, "".join(f" {text}\n" for text in texts), vocabulary)


def clean(text: str) -> str:
    """A caption as it is learnt and measured: small letters, no punctuation, single blanks.

    Example:
        >>> clean("A tri-colored dog's ball , isn't it ?")
        "a tri colored dog's ball isn't it"
    """
    return " ".join(split_words(text, punctuation=False))


def encode(
    known: Known, features: FeatureFile, tokens: Tokens, longest: int, is_flipped: bool = False
) -> Encoded:
    """Captions cut into words or pieces, none left out.

    Args:
        known: pictures and captions.
        features: of the pictures.
        tokens: the vocabulary; the mark is the number behind its last.
        longest: words or pieces read of each.
        is_flipped: whether each caption comes a second time, with the mirror image.
    """
    # A blank in front, so that the first word has the pieces it has elsewhere.
    whole = [
        tokens.encode(" " + clean(text)) for texts in known.captioned.captions for text in texts
    ]
    cut = [words[:longest] for words in whole]
    keys = [
        key for key, texts in zip(known.keys, known.captioned.captions, strict=True) for _ in texts
    ]
    rows = features.rows(keys)
    if is_flipped:
        rows = np.concatenate([rows, features.rows([key + FLIPPED for key in keys])])
        cut = cut + cut
    count = sum(len(words) > longest for words in whole)
    return Encoded(features, rows, cut, tokens.size, count)


def with_full_paths(options: CaptionedOptions) -> CaptionedOptions:
    """The same options, readable from any working directory."""
    return replace(
        options,
        paths=tuple(map(full_path, options.paths)),
        validation=tuple(map(full_path, options.validation)),
        features=full_path(options.features),
    )


def _hash(keys: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(keys).encode()).hexdigest()

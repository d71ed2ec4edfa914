"""The pairs of a translation run: read, checked, split, cut into pieces, put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from throughtime.data.buckets import Buckets, pad
from throughtime.data.byte_pairs import BytePairs
from throughtime.data.drawn_pairs import DRAWN
from throughtime.data.parallel import Parallel, read_parallel
from throughtime.data.split import hold_out
from throughtime.data.tables import full_path
from throughtime.data.tokens import tokens_from_json
from throughtime.errors import DataError
from throughtime.tasks.translation_options import ParallelOptions
from throughtime.training.processes import Team

ALONE = Team()

COUNT = 6000
"""Pairs that are drawn where no file is named."""


class Vocabulary(NamedTuple):
    """The pieces of both languages; the mark of each is the number behind its last."""

    source: BytePairs
    target: BytePairs

    def to_json(self) -> dict[str, Any]:
        """Both as JSON values; the target is None where it is the source's."""
        is_shared = self.source is self.target
        return {
            "source": self.source.to_json(),
            "target": None if is_shared else self.target.to_json(),
        }

    @classmethod
    def from_json(cls, content: Any) -> Vocabulary:
        """What `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        parts = content if isinstance(content, dict) else {}
        source = tokens_from_json(parts.get("source"))
        target = tokens_from_json(parts["target"]) if parts.get("target") else source
        if not (isinstance(source, BytePairs) and isinstance(target, BytePairs)):
            raise DataError(
                "a vocabulary of two languages must be of byte-pair pieces, got other kinds; "
                "restore the file."
            )
        return cls(source, target)


class Batch(NamedTuple):
    """Pairs side by side.

    Args:
        source: pieces and the mark behind them, int64 [S, B].
        lengths: of each source, the mark included, int64 [B].
        target: the mark, the pieces, the mark again, int64 [T + 1, B].
        steps: of each target, the last mark included, int64 [B].
        progress: share of the training that is over.
    """

    source: Tensor
    lengths: Tensor
    target: Tensor
    steps: Tensor
    progress: float


@dataclass(frozen=True)
class Encoded:
    """Pairs as numbers."""

    sources: list[NDArray[np.int64]]
    """Pieces of each source, without marks."""

    targets: list[NDArray[np.int64]]
    """Those of each target."""

    marks: tuple[int, int]
    """What ends a source, and what begins and ends a target."""

    def lengths(self) -> NDArray[np.int64]:
        """Pieces of both sides of each pair, marks included, [N]."""
        pairs = zip(self.sources, self.targets, strict=True)
        return np.array([len(mine) + len(theirs) + 2 for mine, theirs in pairs], np.int64)

    def batch(self, places: NDArray[np.int64], team: Team = ALONE) -> Batch:
        """What this process has of the pairs at some places, side by side."""
        rows, (end, mark) = team.share(places), self.marks
        source, lengths = pad([np.append(self.sources[i], end) for i in rows])
        target, steps = pad(
            [np.concatenate([[mark], self.targets[i], [mark]]) for i in rows], shortest=2
        )
        return Batch(source, lengths, target, steps - 1, 0.0)

    def without_longer(self, longest: int) -> Encoded:
        """The pairs with at most so many pieces on either side."""
        pairs = zip(self.sources, self.targets, strict=True)
        kept = [pair for pair in pairs if max(map(len, pair)) <= longest]
        return Encoded([pair[0] for pair in kept], [pair[1] for pair in kept], self.marks)


class Timed(Dataset[Batch]):
    """Batches that know how much of the training is over before them."""

    def __init__(self, buckets: Buckets[Batch]) -> None:
        self.buckets = buckets

    def __len__(self) -> int:
        return len(self.buckets)

    def __getitem__(self, index: int) -> Batch:
        """The batch of one update."""
        return self.buckets[index]._replace(progress=index / len(self.buckets))


def read_pairs(options: ParallelOptions, seed: int) -> tuple[Parallel, Parallel]:
    """What a run learns from and chooses by; drawn pairs where no file is named.

    Without files for it, the validation is a share of the training pairs drawn from the seed.

    Raises:
        DataError: a file cannot be read, or the sides do not fit.
        PackageError: what reads a table is not installed.
    """
    columns = options.source_column, options.target_column
    if options.paths:
        training = read_parallel(options.paths, *columns)
    else:
        training = DRAWN[options.drawn](COUNT, 0)
    if options.validation:
        return training, read_parallel(options.validation, *columns)
    learnt, held_out = hold_out(len(training), options.validation_share, seed)
    return training.take(learnt), training.take(held_out)


def build_vocabulary(pairs: Parallel, options: ParallelOptions) -> Vocabulary:
    """The pieces of a new run, counted in its training sentences."""
    size = options.vocabulary_size
    if options.pieces == "shared":
        both = _build([*pairs.sources, *pairs.targets], size)
        return Vocabulary(both, both)
    return Vocabulary(_build(pairs.sources, size), _build(pairs.targets, size))


def encode(pairs: Parallel, vocabulary: Vocabulary) -> Encoded:
    """Sentences cut into pieces, none left out."""
    return Encoded(
        encode_sentences(pairs.sources, vocabulary.source),
        encode_sentences(pairs.targets, vocabulary.target),
        (vocabulary.source.size, vocabulary.target.size),
    )


def encode_sentences(texts: Sequence[str], pieces: BytePairs) -> list[NDArray[np.int64]]:
    """The pieces of sentences, without marks."""
    # A blank in front, so that the first word has the pieces it has elsewhere.
    return [pieces.encode(f" {text}") for text in texts]


def with_full_paths(options: ParallelOptions) -> ParallelOptions:
    """The same options, readable from any working directory."""
    return replace(
        options,
        paths=tuple(map(full_path, options.paths)),
        validation=tuple(map(full_path, options.validation)),
    )


def _build(texts: list[str], vocabulary: int) -> BytePairs:
    return BytePairs.build("".join(f" {text}\n" for text in texts), vocabulary)

"""Buckets: batches of sequences of similar length, so that little is padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from throughtime.errors import DataError

Batch = TypeVar("Batch")

POOL = 50
"""Batches whose sequences are sorted among each other."""


class Buckets(Dataset[Batch]):
    """Batches of similar lengths, in a new order every epoch; item u is a function of seed and u.

    Epoch e draws an order of all sequences from (seed, e), sorts each 50 batches of it by length,
    cuts them, and draws the order of the batches. Every epoch shows every sequence once; the last
    batch that is cut may be smaller.

    Args:
        lengths: steps of each sequence, [N].
        batch: sequences side by side, B.
        epochs: how often all are shown.
        seed: decides every order.
        collate: the batch of some places.

    Raises:
        DataError: there are no sequences.

    Example:
        >>> buckets = Buckets([5, 1, 4, 2], batch=2, epochs=1, seed=0, collate=np.sort)
        >>> sorted(buckets[u].tolist() for u in range(len(buckets)))
        [[0, 2], [1, 3]]
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        batch: int,
        epochs: int,
        seed: int,
        collate: Callable[[NDArray[np.int64]], Batch],
    ) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        if not len(self.lengths):
            raise DataError("training needs at least one sequence, got none; give more data.")
        self.batch, self.epochs, self.seed, self.collate = batch, epochs, seed, collate
        self.windows = -(-len(self.lengths) // batch)
        self._cut: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def __len__(self) -> int:
        return self.epochs * self.windows

    def __getitem__(self, index: int) -> Batch:
        """The batch of one update."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        epoch, place = divmod(index, self.windows)
        if self._cut[0] != epoch:
            self._cut = epoch, self._cut_epoch(epoch)
        return self.collate(self._cut[1][place])

    def _cut_epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        draw = np.random.default_rng((self.seed, epoch))
        order, pool = draw.permutation(len(self.lengths)), POOL * self.batch
        pools = [order[first : first + pool] for first in range(0, len(order), pool)]
        # Stable: equal lengths stay in the order that was drawn.
        pools = [part[np.argsort(self.lengths[part], kind="stable")] for part in pools]
        joined = np.concatenate(pools)
        batches = [joined[i : i + self.batch] for i in range(0, len(joined), self.batch)]
        return [batches[i] for i in draw.permutation(len(batches))]


def pad(sequences: Sequence[NDArray[Any]], shortest: int = 1) -> tuple[Tensor, Tensor]:
    """Sequences side by side, zeros behind their ends, and their lengths.

    Args:
        sequences: whole numbers, [T_b] each.
        shortest: steps that x has at least, for a batch without any sequence.

    Returns:
        x: int64 [T, B], with T the longest of them.
        lengths: int64 [B].

    Example:
        >>> x, lengths = pad([np.array([7]), np.array([8, 9])])
        >>> x.tolist(), lengths.tolist()
        ([[7, 8], [0, 9]], [1, 2])
    """
    steps = [len(sequence) for sequence in sequences]
    x = torch.zeros(max([shortest, *steps]), len(sequences), dtype=torch.int64)
    for b, sequence in enumerate(sequences):
        x[: len(sequence), b] = torch.from_numpy(sequence)
    return x, torch.tensor(steps, dtype=torch.int64)

"""Batches of similar lengths: each sequence once an epoch, a pure function of seed and number."""

import numpy as np
import pytest
import torch

from throughtime.data.buckets import Buckets, pad
from throughtime.errors import DataError

LENGTHS = np.random.default_rng(0).integers(0, 40, 1003)


def buckets(seed=1, batch=8):
    return Buckets(LENGTHS, batch, 3, seed, lambda places: places)


def test_every_epoch_shows_every_sequence_once_in_its_own_order():
    batches = buckets()
    epochs = [np.concatenate([batches[u] for u in range(e * 126, (e + 1) * 126)]) for e in range(3)]
    assert len(batches) == 3 * batches.windows == 3 * 126
    for epoch in epochs:
        assert sorted(epoch) == list(range(1003))
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_batch_is_the_same_whichever_were_made_before():
    in_order = [buckets()[u] for u in range(378)]
    backwards = buckets()
    for u in reversed(range(378)):
        assert np.array_equal(backwards[u], in_order[u])
    assert not np.array_equal(buckets(seed=2)[5], in_order[5])


def test_little_is_padding():
    batches = buckets()
    padded = sum(len(b) * LENGTHS[b].max() for b in map(batches.__getitem__, range(126)))
    assert LENGTHS.sum() <= padded < 1.1 * LENGTHS.sum()


def test_padding_stands_behind_the_ends_alone():
    sequences = [np.array([3, 1, 2]), np.array([], np.int64), np.array([5])]
    x, lengths = pad(sequences)
    assert x.tolist() == [[3, 0, 5], [1, 0, 0], [2, 0, 0]] and lengths.tolist() == [3, 0, 1]
    assert pad([np.array([], np.int64)])[0].shape == torch.Size([1, 1])


def test_no_sequences_are_refused():
    with pytest.raises(DataError, match="at least one sequence"):
        Buckets([], 2, 1, 0, lambda places: places)

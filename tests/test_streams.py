import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from throughtime.data.streams import Streams
from throughtime.errors import DataError


def test_a_target_is_the_token_after_its_input():
    inputs, targets = Streams(range(50), batch=3, window=5, shuffle=True, epochs=2)[4]
    assert torch.equal(targets, (inputs + 1) % 50)


@given(st.integers(7, 60), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_windows_of_an_epoch_follow_each_other_in_every_stream(n, batch, window, shuffle):
    streams = Streams(range(n), batch, window, epochs=3, seed=5, shuffle=shuffle)
    first = streams.windows  # of epoch 1
    read = torch.cat([streams[g][0] for g in range(first, 2 * first)])
    assert torch.equal(read[1:], (read[:-1] + 1) % n)
    assert len(set(read.flatten().tolist())) == read.numel()


def test_unshuffled_streams_read_the_text_side_by_side():
    assert Streams(range(11), batch=2, window=5)[0][0].T.tolist() == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
    ]


def test_epochs_begin_elsewhere_when_shuffled_and_the_same_seed_agrees():
    streams = Streams(range(1000), 2, 5, epochs=4, seed=3, shuffle=True)
    again = Streams(range(1000), 2, 5, epochs=4, seed=3, shuffle=True)
    starts = [streams.start(epoch) for epoch in range(4)]
    assert len(set(starts)) == 4
    assert starts == [again.start(epoch) for epoch in range(4)]


def test_loading_processes_and_a_later_start_change_no_batch():
    streams = Streams(range(100), 3, 4, epochs=2, seed=1, shuffle=True)
    loader = DataLoader(streams, batch_size=None, sampler=range(5, len(streams)), num_workers=2)
    for g, (inputs, targets) in enumerate(loader, start=5):
        assert torch.equal(inputs, streams[g][0]) and torch.equal(targets, streams[g][1])


def test_a_text_of_exactly_one_window_is_enough_and_one_token_less_is_not():
    assert len(Streams(range(11), batch=2, window=5)) == 1
    with pytest.raises(DataError, match=r"11 tokens, got 10; .* lower --batch or --window"):
        Streams(range(10), batch=2, window=5)


def test_a_window_beyond_the_last_epoch_does_not_exist():
    with pytest.raises(IndexError, match="window 2 of 2"):
        Streams(range(11), batch=2, window=5, epochs=2)[2]

"""The network of frame labels: its equations, clips alone and side by side, live streams."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from throughtime.errors import OptionError
from throughtime.tasks.video import Model
from throughtime.tasks.video_augment import augment
from throughtime.tasks.video_clips import Batch
from throughtime.tasks.video_live import Live
from throughtime.tasks.video_network import Labeller, normalise
from throughtime.tasks.video_options import ClipOptions, VideoModel, VideoOptions, VideoTraining

FRAME, LENGTHS = (9, 11), torch.tensor([4, 1, 3])
SMALL = {"hidden": 3, "channels": 2, "features": 5}


def labeller(frame=FRAME, **options):
    """A small network in double precision."""
    return Labeller(frame, 4, VideoModel(**SMALL | options)).double().eval()


def clips():
    """Three clips one after the other."""
    return torch.randint(256, (8, *FRAME), dtype=torch.uint8)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "none"])
def test_a_clip_alone_is_what_it_is_beside_others(cell, causal):
    network, frames = labeller(cell=cell, causal=causal), clips()
    together = network(frames, LENGTHS).split(LENGTHS.tolist())
    for clip, expected in zip(frames.split(LENGTHS.tolist()), together, strict=True):
        alone = network(clip, torch.tensor([len(clip)]))
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "none"])
def test_a_causal_network_sees_nothing_of_what_comes(cell):
    network, frames = labeller(cell=cell, causal=True, window=4), clips()
    whole = network(frames, torch.tensor([8]))
    start = network(frames[:5], torch.tensor([5]))
    torch.testing.assert_close(start, whole[:5], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("causal", "first"), [(False, -2), (True, -4)])
def test_a_frame_is_encoded_with_its_neighbours_and_grey_beyond_the_ends(causal, first):
    network, frames = labeller(causal=causal, cell="none"), clips()[:3]
    ready = normalise(frames, torch.float64)
    for t, found in enumerate(network.encode(frames, torch.tensor([3]))):
        around = [t + first + i for i in range(5)]
        window = torch.stack([ready[s] if 0 <= s < 3 else torch.zeros(FRAME) for s in around])
        expected = network.encoder(window[None])[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_first_convolution_is_one_over_space_and_time():
    convolution = labeller().encoder.convolutions[0]
    windows = torch.randn(2, 5, *FRAME).double()
    weight = convolution.weight[:, None]  # [C, 1, W, 5, 5]
    over_time = torch.nn.functional.conv3d(
        windows[:, None], weight, convolution.bias, stride=(1, 2, 2), padding=(0, 2, 2)
    )[:, :, 0]
    ours = conv2d(windows, convolution.weight, convolution.bias, stride=2, padding=2)
    torch.testing.assert_close(convolution(windows), over_time, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours, over_time, rtol=0, atol=1e-12)


def test_brightness_and_contrast_of_a_frame_do_not_count():
    frame = torch.randint(0, 50, (1, *FRAME), dtype=torch.uint8)
    brighter = normalise(3 * frame + 20, torch.float64)
    torch.testing.assert_close(normalise(frame, torch.float64), brighter, rtol=0, atol=1e-12)
    assert normalise(torch.full((1, *FRAME), 9, dtype=torch.uint8)).abs().max() == 0


def test_many_frames_are_encoded_as_few_are(monkeypatch):
    network, frames = labeller(), clips()
    whole = network(frames, LENGTHS)
    monkeypatch.setattr("throughtime.tasks.video_network._AT_ONCE", 3)
    torch.testing.assert_close(network(frames, LENGTHS), whole, rtol=0, atol=1e-12)


def test_stored_features_are_labelled_too():
    network = labeller((6,))
    features = torch.randn(8, 6)
    first = network(features[:4], LENGTHS[:1])
    torch.testing.assert_close(network(features, LENGTHS)[:4], first, rtol=0, atol=1e-12)


def test_no_clips_and_clips_without_frames_give_no_labels_and_no_nan():
    network = labeller()
    assert network(clips()[:0], LENGTHS[:0]).shape == (0, 4)
    found = network(clips()[:4], torch.tensor([0, 4]))
    assert found.shape == (4, 4) and found.isfinite().all()


def live(cell, **options):
    """A causal model, and the network in it."""
    made = VideoModel(**SMALL | {"cell": cell, "causal": True, "layers": 2} | options)
    network = Labeller(FRAME, 4, made).double().eval()
    whole = VideoOptions(ClipOptions(width=FRAME[1], height=FRAME[0]), made)
    return Model(network, tuple("abcd"), whole, (FRAME[1], FRAME[0])), network


@pytest.mark.parametrize(("cell", "window"), [("lstm", 5), ("gru", 1), ("rnn", 2), ("none", 3)])
def test_a_live_stream_gets_the_labels_of_the_whole_clip(cell, window):
    model, network = live(cell, window=window)
    frames, stream = clips(), Live(model)
    expected = network(frames, torch.tensor([8])).softmax(-1).detach().numpy()
    found = np.stack([stream.probabilities(frame.numpy()) for frame in frames])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_network_that_looks_ahead_cannot_label_a_live_stream():
    model, _ = live("gru", causal=False)
    with pytest.raises(OptionError, match="trained on videos with --causal"):
        Live(model)


def augmented(frames, classes, lengths, **options):
    """What becomes of clips."""
    batch = Batch(frames, torch.tensor(lengths), torch.tensor(classes))
    return augment(batch, VideoTraining(**{"jitter": 0.0, "shift": 0.0} | options))


def test_clips_are_mirrored_whole_or_not_at_all():
    frames = clips()
    kinds = set()
    for _ in range(20):
        found = augmented(frames, [0] * 8, [5, 3], flip=True)
        for part, whole in zip(found.frames.split([5, 3]), frames.split([5, 3]), strict=True):
            assert part.equal(whole) or part.equal(whole.flip(2))
            kinds.add(part.equal(whole))
    assert kinds == {True, False}


def test_clips_are_moved_by_whole_pixels_and_keep_their_inside():
    frames = torch.arange(99, dtype=torch.uint8).reshape(1, 9, 11)
    places = set()
    for _ in range(60):
        (found,) = augmented(frames, [0], [1], shift=0.2).frames
        down, right = divmod(int(found[4, 5]) - int(frames[0, 4, 5]) + 2 * 11 + 2, 11)
        places.add((down - 2, right - 2))
        assert found[4, 4] == found[4, 5] - 1 and found[3, 5] == found[4, 5] - 11
    assert places == {(y, x) for y in range(-2, 3) for x in range(-2, 3)} & places
    assert len(places) > 12


def test_frames_are_left_out_and_doubled_with_their_labels_in_order():
    frames = torch.arange(200, dtype=torch.uint8)[:, None, None].expand(200, 8, 8)
    found = augmented(frames, list(range(200)), [150, 50], jitter=0.4)
    assert found.frames[:, 0, 0].tolist() == found.classes.tolist()
    assert found.classes.tolist() == sorted(found.classes.tolist())
    assert int(found.lengths.sum()) == len(found.classes)
    times = torch.bincount(found.classes, minlength=200)
    assert 20 < (times == 0).sum() < 60 and 20 < (times == 2).sum() < 60


def test_a_clip_never_loses_all_of_its_frames():
    for _ in range(50):
        assert augmented(clips()[:1], [2], [1], jitter=0.99).lengths.min() >= 1

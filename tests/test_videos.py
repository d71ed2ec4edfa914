"""Videos: what is read is what was written, damage is one sentence, captions are burnt in."""

import io

import numpy as np
import pytest
from clip_files import note_rotation, write_video

from throughtime.data.captioned import burn_in
from throughtime.data.videos import is_features, iterate_frames, open_video, read_frames
from throughtime.errors import DataError


def ramp(num=7, height=12, width=20):
    """Frames whose greys rise to the right, and from frame to frame."""
    columns = np.linspace(20, 180, width)
    return np.stack([np.tile(columns + 9 * t, (height, 1)) for t in range(num)]).astype(np.uint8)


def test_frames_are_those_that_were_written(tmp_path):
    frames = ramp()
    found = read_frames(write_video(tmp_path / "a.mp4", frames), 20, 12)
    assert found.pixels.dtype == np.uint8 and found.size == (20, 12)
    assert np.abs(found.pixels.astype(int) - frames).max() <= 4  # H.264 loses a little


def test_scaled_frames_are_means_of_their_pixels(tmp_path):
    frames = ramp()
    found = read_frames(write_video(tmp_path / "a.mp4", frames), 10, 4)
    expected = frames.reshape(7, 4, 3, 10, 2).mean((2, 4))
    assert np.abs(found.pixels - expected).max() <= 5


def test_every_frame_begins_at_its_time_and_the_last_one_ends(tmp_path):
    found = read_frames(write_video(tmp_path / "a.mp4", ramp(), rate=20), 20, 12)
    np.testing.assert_allclose(found.times, np.arange(8) / 20, rtol=0, atol=1e-3)


def test_a_stream_gives_the_frames_of_the_file(tmp_path):
    path = write_video(tmp_path / "a.mp4", ramp())
    with open_video(io.BytesIO(path.read_bytes())) as video:
        found = np.stack([frame.pixels for frame in iterate_frames(video, 20, 12)])
    np.testing.assert_array_equal(found, read_frames(path, 20, 12).pixels)


def test_features_are_read_as_they_were_stored(tmp_path):
    features = np.arange(6, dtype=np.float16).reshape(2, 3)
    np.save(tmp_path / "a.npy", features)
    found = read_frames(tmp_path / "a.npy", 20, 12)
    np.testing.assert_array_equal(found.pixels, features)
    assert is_features("A.NPY") and not is_features("a.mp4")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "whole"),
        (lambda path: path.write_bytes(b""), "whole and readable video"),
        (lambda path: path.write_text("no video at all"), "whole and readable video"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(spoilt(path.read_bytes())), "a.mp4 must"),
    ],
)
def test_a_damaged_video_is_refused_by_name(spoil, message, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 20)).astype(np.uint8)
    path = write_video(tmp_path / "a.mp4", noise)
    spoil(path)
    with pytest.raises(DataError, match=message):
        read_frames(path, 20, 12)


def spoilt(content):
    """The same bytes with noise in their middle."""
    noise = np.random.default_rng(0).integers(0, 256, 300).astype(np.uint8).tobytes()
    return content[:1500] + noise + content[1800:]


def test_sound_without_pictures_is_refused(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as video:
        tone = video.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.float32), "fltp", "mono")
        frame.rate = 8000
        for part in (frame, None):
            video.mux(tone.encode(part))
    with pytest.raises(DataError, match=r"must hold moving pictures, it has 1 other"):
        read_frames(tmp_path / "a.mp4", 20, 12)


@pytest.mark.parametrize(
    "content",
    [np.zeros((0, 3)), np.zeros(4), np.array([["a"]]), np.full((2, 2), np.nan)],
)
def test_features_that_are_no_rows_of_numbers_are_refused(content, tmp_path):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(DataError, match=r"a\.npy must hold (finite )?numbers"):
        read_frames(tmp_path / "a.npy", 20, 12)


def test_captions_are_in_their_frames_and_sound_and_times_stay(tmp_path):
    import av

    frames = np.full((10, 48, 64), 128, np.uint8)
    path = write_video(tmp_path / "a.mp4", frames, sound=True)
    burn_in(path, tmp_path / "b.mp4", ["", "", "go", "go", *[""] * 6])
    found = read_frames(tmp_path / "b.mp4", 64, 48)
    far = np.abs(found.pixels.astype(int) - 128).max((1, 2))
    assert (far[[2, 3]] > 60).all() and (far[[0, 1, 4, 5]] < 20).all()
    np.testing.assert_allclose(found.times, read_frames(path, 64, 48).times, atol=1e-3)
    with av.open(str(tmp_path / "b.mp4")) as copy, av.open(str(path)) as source:
        ours, theirs = (
            np.concatenate([part.to_ndarray() for part in video.decode(audio=0)], 1)
            for video in (copy, source)
        )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_that_is_to_be_shown_turned_is_read_and_copied_upright(tmp_path, degrees):
    frames = np.zeros((3, 16, 32), np.uint8)
    frames[:, :8, :8], frames[:, 8:, 16:] = 240, 120
    path = write_video(tmp_path / "phone.mp4", frames)
    note_rotation(path, degrees)
    expected = np.rot90(frames, -degrees // 90, axes=(1, 2))
    height, width = expected.shape[1:]
    found = read_frames(path, width, height)
    assert found.size == (width, height)
    assert np.abs(found.pixels.astype(int) - expected).mean() < 6
    burn_in(path, tmp_path / "copy.mp4", [""] * 3)
    copy = read_frames(tmp_path / "copy.mp4", width, height)
    assert copy.size == (width, height)
    assert np.abs(copy.pixels.astype(int) - expected).mean() < 12


def test_other_numbers_of_captions_and_a_copy_that_is_there_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", ramp(5))
    for count in (4, 6):
        with pytest.raises(DataError, match=f"as many frames as captions, {count}"):
            burn_in(path, tmp_path / f"{count}.mp4", ["x"] * count)
        assert not (tmp_path / f"{count}.mp4").exists()
    with pytest.raises(DataError, match="must be a new file"):
        burn_in(path, path, ["x"] * 5)


def test_a_file_that_cannot_hold_the_copy_is_refused_and_not_left(tmp_path):
    path = write_video(tmp_path / "a.mp4", ramp(5))
    with pytest.raises(DataError, match=r"a kind of file that holds H\.264"):
        burn_in(path, tmp_path / "b.webm", ["x"] * 5)
    assert not (tmp_path / "b.webm").exists()

"""Lists of clips: decoded once, checked, counted; nothing stale, nothing left out in silence."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from clip_files import write_list, write_video

from throughtime.data.clips import read_list
from throughtime.data.frame_cache import default_folder, store_frames
from throughtime.data.videos import read_frames
from throughtime.errors import DataError
from throughtime.tasks.video_clips import draw_clips, encode, read_clips, read_material
from throughtime.tasks.video_options import ClipOptions

COUNTS = (3, 5, 2)


def quiet(line):
    """Announces nothing."""


@pytest.fixture
def listed(tmp_path):
    """A list of three clips of 12 x 8 pixels, each in a grey of its own."""
    rows = []
    for i, count in enumerate(COUNTS):
        frames = np.full((count, 8, 12), 60 * (i + 1), np.uint8)
        write_video(tmp_path / f"{i}.mp4", frames)
        rows.append((f"{i}.mp4", ["x"] * (count - 1) + ["y"]))
    return write_list(tmp_path, rows)


def options(folder, **more):
    """Reads clips of that size, into a cache in the folder."""
    return ClipOptions(**{"width": 12, "height": 8, "cache": str(Path(folder, "cache"))} | more)


def greys(clips):
    """The mean grey of every clip, in units of 60."""
    return [round(float(clips.pixels(i).mean()) / 60) for i in range(len(clips))]


def test_clips_are_read_from_the_folder_of_their_list_with_a_label_a_frame(listed, tmp_path):
    clips = read_clips([str(listed)], options(tmp_path), quiet)
    assert (greys(clips), clips.lengths.tolist(), clips.size) == ([1, 2, 3], [3, 5, 2], (12, 8))
    assert clips.labels[2] == ["x", "y"] and clips.counts() == {"x": 7, "y": 3}
    assert greys(clips.take([2, 0])) == [3, 1]
    assert clips.take([2, 0]).sha256() != clips.take([0, 2]).sha256()


def refuse(*_, **__):
    """Must not be called."""
    raise AssertionError


def test_clips_are_decoded_once_and_mapped_then(listed, tmp_path, monkeypatch):
    said = []
    first = read_clips([str(listed)], options(tmp_path), said.append)
    assert len(said) == 1 and said[0].startswith("Decoding 3 clips, once")
    monkeypatch.setattr("throughtime.tasks.video_clips.read_frames", refuse)
    again = read_clips([str(listed)], options(tmp_path), said.append)
    assert len(said) == 1 and isinstance(again.frames, np.memmap)
    assert again.sha256() == first.sha256()
    assert not again.frames.flags.writeable


def test_a_clip_that_changed_is_decoded_anew(listed, tmp_path):
    read_clips([str(listed)], options(tmp_path), quiet)
    before = (tmp_path / "1.mp4").stat()
    write_video(tmp_path / "1.mp4", np.full((5, 8, 12), 240, np.uint8))
    os.utime(tmp_path / "1.mp4", ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it were old
    said = []
    assert greys(read_clips([str(listed)], options(tmp_path), said.append)) == [1, 4, 3]
    assert "have changed since" in said[0]


@pytest.mark.parametrize("spoil", ["cut", "gone", "index", "format"])
def test_a_spoilt_cache_is_made_anew(spoil, listed, tmp_path):
    whole = read_clips([str(listed)], options(tmp_path), quiet).sha256()
    (data,) = (tmp_path / "cache").glob("*.frames")
    index = data.with_suffix(".json")
    if spoil == "cut":
        data.write_bytes(data.read_bytes()[:-1])
    elif spoil == "gone":
        data.unlink()
    else:
        index.write_text("{" if spoil == "index" else index.read_text().replace('t": 1', 't": 0'))
    assert read_clips([str(listed)], options(tmp_path), quiet).sha256() == whole


def test_another_size_is_another_cache(listed, tmp_path):
    for width in (12, 24):
        clips = read_clips([str(listed)], options(tmp_path, width=width), quiet)
        assert clips.frames.shape[1:] == (8, width)
    assert len(list((tmp_path / "cache").glob("*.frames"))) == 2


def test_a_decoder_that_stops_leaves_no_cache(listed, tmp_path):
    def stop(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_frames([tmp_path / "0.mp4"], stop, "", tmp_path / "cache", quiet)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_is_in_the_users_folder_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "throughtime" / "frames"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "throughtime" / "frames"


@pytest.fixture
def unfit(listed, tmp_path):
    """The same list with a damaged clip, a missing one, a label too few, and another size."""
    write_video(tmp_path / "wide.mp4", np.full((2, 8, 16), 200, np.uint8))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    rows = [json.loads(line) for line in listed.read_text().splitlines()]
    rows = [(row["clip"], row["labels"]) for row in rows]
    more = [("bad.mp4", ["x"]), ("none.mp4", ["x"]), ("wide.mp4", ["x", "y"])]
    return write_list(tmp_path, [rows[0], (rows[1][0], ["x"]), rows[2], *more], "unfit.jsonl")


def test_clips_that_cannot_be_used_are_refused_with_their_number(unfit, tmp_path):
    with pytest.raises(DataError, match=r"4 of 6 are not: .*1 labels for 5 frames.*bad\.mp4"):
        read_clips([str(unfit)], options(tmp_path), quiet)


def test_clips_that_cannot_be_used_are_left_out_with_a_list_if_asked(unfit, tmp_path):
    clips = read_clips([str(unfit)], options(tmp_path, unfit="skip"), quiet)
    assert greys(clips) == [1, 3]
    assert [Path(name).name for name in clips.skipped] == [
        *("1.mp4", "bad.mp4", "none.mp4", "wide.mp4")
    ]
    assert "it has 16 x 8" in clips.skipped[str(tmp_path / "wide.mp4")]
    with pytest.raises(DataError, match=r"all clips must be usable, 6 of 6 are not"):
        read_clips([str(unfit)], options(tmp_path, unfit="skip"), quiet, size=(99, 8))


def test_clips_of_any_size_are_scaled_if_asked(unfit, tmp_path):
    clips = read_clips([str(unfit)], options(tmp_path, unfit="skip", any_size=True), quiet)
    assert greys(clips) == [1, 3, 3] and len(clips.skipped) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a.mp4", [])], r"1 of 1 rows have not, the first is row 1"),
        ([("a.mp4", ["x"]), (None, ["x"])], r"1 of 2 rows have not, the first is row 2"),
        ([("a.mp4", [["x"]])], "a clip in clip and labels in labels"),
        ([("a.mp4", ["x"]), ("a.npy", ["x"])], r"all videos or all features"),
    ],
)
def test_a_list_with_rows_that_say_nothing_is_refused(rows, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_list([str(write_list(tmp_path, rows))], "clip", "labels")


def test_a_list_without_the_column_is_refused_and_blanks_part_labels_of_tables(tmp_path):
    (tmp_path / "t.csv").write_text("file,words\na.mp4,x x  y\n")
    with pytest.raises(DataError, match=r"column of clips named clip.*--clip-column"):
        read_list([str(tmp_path / "t.csv")], "clip", "words")
    found = read_list([str(tmp_path / "t.csv")], "file", "words")
    assert found.labels == [["x", "x", "y"]] and found.paths == [tmp_path / "a.mp4"]


def test_features_are_clips_too(tmp_path):
    for name, count in (("a", 2), ("b", 3)):
        np.save(tmp_path / f"{name}.npy", np.full((count, 4), count, np.float16))
    np.save(tmp_path / "c.npy", np.zeros((2, 5)))
    rows = [("a.npy", ["x", "y"]), ("b.npy", ["x", "y", "y"])]
    clips = read_clips([str(write_list(tmp_path, rows))], options(tmp_path), quiet)
    assert clips.frames.dtype == np.float32 and clips.frames.shape == (5, 4)
    np.testing.assert_array_equal(clips.pixels(1), np.full((3, 4), 3))
    with pytest.raises(DataError, match=r"c\.npy must have \(4,\) numbers a frame"):
        read_clips(
            [str(write_list(tmp_path, [*rows, ("c.npy", ["x", "y"])]))], options(tmp_path), quiet
        )


@pytest.mark.parametrize("any_size", [False, True])
def test_features_cannot_stand_in_for_videos(any_size, listed, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 4)))
    features, videos = write_list(tmp_path, [("a.npy", ["x", "y"])], "f.jsonl"), listed
    for path, size, what in ((features, (12, 8), "12 x 8 pixels"), (videos, (4, 0), "4 features")):
        with pytest.raises(DataError, match=f"must have {what} like the others"):
            read_clips([str(path)], options(tmp_path, any_size=any_size), quiet, size)


def test_labels_that_the_training_had_not_are_refused_with_counts():
    clips = draw_clips(ClipOptions(width=8, height=8), 0)
    with pytest.raises(DataError, match=r"nothing, bar, .* frames have others: 'cross' \("):
        encode(clips, ["nothing", "bar", "post"], "the clips")


def test_a_share_for_validation_is_drawn_from_the_seed_and_leaves_the_rest():
    one, again, other = (
        read_material(ClipOptions(width=8, height=8, validation_share=0.25), seed, quiet)
        for seed in (1, 1, 2)
    )
    assert one.origin() == again.origin() != other.origin()
    assert (len(one.training), len(one.validation)) == (180, 60)
    assert not set(one.training.names) & set(one.validation.names)


def test_a_batch_is_the_clips_at_its_places_one_after_the_other(listed, tmp_path):
    clips = read_clips([str(listed)], options(tmp_path), quiet)
    batch = encode(clips, ["x", "y"], "the clips").batch(np.array([2, 0]))
    assert batch.lengths.tolist() == [2, 3] and batch.classes.tolist() == [0, 1, 0, 0, 1]
    np.testing.assert_array_equal(batch.frames[:2], read_frames(tmp_path / "2.mp4", 12, 8).pixels)


def test_clips_with_one_label_teach_nothing(listed, tmp_path):
    listed.write_text(listed.read_text().replace('"y"', '"x"'))
    with pytest.raises(DataError, match="two labels or more, 3 clips have x"):
        read_material(options(tmp_path, paths=(str(listed),), validation_share=0), 1, quiet)


def test_a_list_without_clips_teaches_nothing(tmp_path):
    (tmp_path / "l.csv").write_text("clip,labels\n")
    with pytest.raises(DataError, match="two labels or more, 0 clips have none"):
        read_material(options(tmp_path, paths=(str(tmp_path / "l.csv"),)), 1, quiet)

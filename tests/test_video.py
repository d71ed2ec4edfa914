"""Video: what the scores say, runs that learn, that go on to the bit, and that refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from clip_files import write_list, write_shapes, write_video
from test_resume import Killed, kill, stop_at
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    weight_bytes,
)
from torch.nn.functional import cross_entropy

from throughtime import record
from throughtime.data.shapes import shapes
from throughtime.errors import DataError, OptionError, RunError
from throughtime.tasks import video
from throughtime.tasks.segments import edit_score
from throughtime.tasks.video_augment import augment
from throughtime.tasks.video_clips import Batch, encode, read_clips
from throughtime.tasks.video_labels import Labels, to_subrip
from throughtime.tasks.video_live import label_stream
from throughtime.tasks.video_options import (
    ClipOptions,
    VideoModel,
    VideoOptions,
    VideoTraining,
    read_video_options,
)
from throughtime.tasks.video_score import Score, score

COUNT = 14


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    """Drawing takes longer than these runs."""
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A folder with fourteen clips of moving shapes, 16 x 12 pixels, and their list."""
    return write_shapes(tmp_path_factory.mktemp("few"), COUNT)


def tiny(few=None, clips=None, model=None, **training):
    """Two epochs of four updates with everything random that there is."""
    read = {"width": 16, "height": 12}
    if few is not None:
        read |= {"paths": (str(few),), "cache": str(few.parent / "cache")}
    small = {"hidden": 5, "channels": 2, "features": 6}
    short = {"batch": 3, "epochs": 2, "warmup": 2, "threads": 1, "checkpoint_every": 3}
    return VideoOptions(
        ClipOptions(**read | (clips or {})),
        VideoModel(**small | (model or {})),
        VideoTraining(**short | {"flip": True, "shift": 0.1, "jitter": 0.2} | training),
    )


def test_moving_shapes_are_learnt_but_for_a_frame_in_a_hundred(tmp_path):
    clips = ClipOptions(width=12, height=10)
    model = VideoModel(hidden=32, layers=1, channels=6, features=32, dropout=0.0, causal=True)
    training = VideoTraining(epochs=16, lr=0.01, warmup=20, jitter=0, threads=1, record_every=0)
    video.train(VideoOptions(clips, model, training), tmp_path / "run", quiet)
    scores = [line for line in losses(tmp_path / "run") if line["kind"] == "validation"]
    assert max(line["share_right"] for line in scores) > 0.99
    assert video.evaluate(tmp_path / "run").share_right > 0.99


def test_the_scores_are_what_they_say():
    counts = np.array([[6, 1, 0], [2, 3, 0], [0, 4, 0]])
    found = Score(("sil", "a", "b"), counts, 0.0, 0.0, {}, 0, {})
    assert found.share_right == pytest.approx(9 / 16) and found.majority == "sil"
    assert found.share_right_others == pytest.approx(3 / 9)
    assert found.f1.tolist() == pytest.approx([12 / 15, 6 / 13, 0])


def test_a_run_is_scored_clip_by_clip_as_it_is_together(few, tmp_path):
    video.train(tiny(few, epochs=1), tmp_path / "run", quiet)
    found, model = video.evaluate(tmp_path / "run", [str(few)]), video.load(tmp_path / "run")
    clips = read_clips([str(few)], model.options.clips, quiet)
    right, edits = [], []
    for i in range(len(clips)):
        logits = model.network(torch.tensor(clips.pixels(i)), torch.tensor([clips.lengths[i]]))
        labels = [model.classes[k] for k in logits.argmax(-1)]
        right += [ours == theirs for ours, theirs in zip(clips.labels[i], labels, strict=True)]
        edits.append(edit_score(clips.labels[i], labels))
    assert (found.clips, found.total) == (COUNT, sum(map(len, clips.labels)))
    assert found.share_right == pytest.approx(np.mean(right))
    assert found.edit == pytest.approx(np.mean(edits))
    alone = score(model.network, encode(clips.take([3]), model.classes, "it"), model.classes)
    assert alone.clips == 1 and alone.total == len(clips.labels[3])


def test_a_run_that_was_killed_goes_on_to_the_same_bits(few, tmp_path, monkeypatch):
    options = tiny(few)
    video.train(options, tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 7, kill)
        video.train(options, tmp_path / "run", quiet)
    video.resume(tmp_path / "run", quiet)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert weight_bytes(tmp_path / "run") == weight_bytes(tmp_path / "whole")


def test_two_workers_read_the_same_batches(few, tmp_path):
    for workers in (0, 2):
        video.train(tiny(few, workers=workers, epochs=1), tmp_path / str(workers), quiet)
    assert weight_bytes(tmp_path / "0") == weight_bytes(tmp_path / "2")


def test_a_network_without_recurrence_is_trained_and_has_no_flight(few, tmp_path):
    video.train(tiny(few, model={"cell": "none"}, epochs=1), tmp_path / "run", quiet)
    assert not (tmp_path / "run" / record.FLIGHT).exists()
    assert video.evaluate(tmp_path / "run", [str(few)]).clips == COUNT


def test_a_clip_is_labelled_with_the_times_of_its_frames(few, tmp_path):
    video.train(tiny(few, epochs=1), tmp_path / "run", quiet)
    found, clip = video.predict(video.load(tmp_path / "run"), few.parent / "2.mp4")
    num = len(clip.pixels)
    assert len(found.labels) == len(found.probabilities) == num
    np.testing.assert_allclose(found.times, np.arange(num + 1) / 25, rtol=0, atol=1e-3)
    spans = found.spans()
    assert [span.end_s for span in spans[:-1]] == [span.start_s for span in spans[1:]]
    assert (spans[0].start_s, spans[-1].end_s) == (0, found.times[-1])


def test_a_stream_is_labelled_frame_by_frame_as_the_file_is(few, tmp_path):
    video.train(tiny(few, model={"causal": True}, epochs=1), tmp_path / "run", quiet)
    model, path = video.load(tmp_path / "run"), few.parent / "5.mp4"
    found, _ = video.predict(model, path)
    with path.open("rb") as source:
        live = list(label_stream(model, source))
    assert [span.label for span in live] == found.labels
    assert [span.start_s for span in live] == found.times[:-1]
    shares = [span.probability for span in live]
    np.testing.assert_allclose(shares, found.probabilities, rtol=0, atol=1e-5)


def test_subtitles_have_a_number_times_and_a_label_each():
    labels = Labels(list("ssaab"), [0.0, 0.5, 1.0, 1.5, 2.0, 3725.0625], [1.0] * 5)
    assert to_subrip(labels.spans(), "s").split("\n") == [
        *("1", "00:00:01,000 --> 00:00:02,000", "a", ""),
        *("2", "00:00:02,000 --> 01:02:05,062", "b", ""),
    ]


def test_stored_features_train_a_network_too(tmp_path):
    rows = []
    for i, labels in enumerate(shapes(9, 0, 8, 8)[1]):
        np.save(tmp_path / f"{i}.npy", np.eye(9)[[len(x) for x in labels]])
        rows.append((f"{i}.npy", labels))
    path = write_list(tmp_path, rows)
    video.train(tiny(path, epochs=1), tmp_path / "run", quiet)
    model = video.load(tmp_path / "run")
    found, _ = video.predict(model, tmp_path / "3.npy")
    assert len(found.labels) == len(rows[3][1])
    write_video(tmp_path / "a.mp4", np.zeros((3, 12, 16), np.uint8))
    with pytest.raises(DataError, match="of the kind that was trained on, features"):
        video.predict(model, tmp_path / "a.mp4")


def test_clips_that_are_skipped_are_said_kept_and_counted(few, tmp_path):
    (few.parent / "bad.mp4").write_bytes(b"no")
    rows = few.read_text() + '{"clip": "bad.mp4", "labels": ["bar"]}\n'
    path = few.with_name("with_bad.jsonl")
    path.write_text(rows)
    with pytest.raises(DataError, match=r"1 of 15 are not: .*bad\.mp4.*--unfit skip"):
        video.train(tiny(path), tmp_path / "run", quiet)
    said = []
    video.train(tiny(path, clips={"unfit": "skip"}, epochs=1), tmp_path / "run", said.append)
    assert any(line.startswith("Skipped: ") and "bad.mp4" in line for line in said)
    assert any("1 clips skipped" in line for line in said)
    assert list(record.read_json(tmp_path / "run" / record.CLIPS)["training"]["skipped"]) == [
        str(few.parent / "bad.mp4")
    ]
    assert len(video.evaluate(tmp_path / "run", [str(path)]).skipped) == 1


def test_a_clip_of_another_size_is_refused_unless_any_will_do(few, tmp_path):
    wide = write_video(few.parent / "wide.mp4", np.zeros((3, 12, 20), np.uint8))
    for any_size in (False, True):
        run = tmp_path / str(any_size)
        video.train(tiny(few, clips={"any_size": any_size}, epochs=1), run, quiet)
    with pytest.raises(DataError, match=r"16 x 12 pixels like .*, it has 20 x 12"):
        video.predict(video.load(tmp_path / "False"), wide)
    assert len(video.predict(video.load(tmp_path / "True"), wide)[0].labels) == 3


def test_labels_that_the_training_had_not_are_refused_with_counts(few, tmp_path):
    video.train(tiny(few, epochs=1), tmp_path / "run", quiet)
    strange = few.with_name("strange.jsonl")
    strange.write_text(few.read_text().replace('"post"', '"pole"'))
    with pytest.raises(DataError, match=r"labels of the training, nothing, .*'pole' \("):
        video.evaluate(tmp_path / "run", [str(strange)])


def test_other_clips_than_the_run_began_with_are_refused(tmp_path):
    path = write_shapes(tmp_path, 5, seed=1)
    video.train(tiny(path, epochs=1), tmp_path / "run", quiet)
    write_shapes(tmp_path, 5, seed=2)
    with pytest.raises(RunError, match="they differ in training"):
        video.resume(tmp_path / "run", quiet)


@pytest.mark.parametrize("name", ["clips.json", "labels.json"])
def test_a_damaged_run_is_refused_by_the_file(name, few, tmp_path):
    video.train(tiny(few, epochs=1), tmp_path / "run", quiet)
    (tmp_path / "run" / name).write_text("[]")
    with pytest.raises(RunError, match=name):
        video.load(tmp_path / "run")


def test_the_run_keeps_every_option_with_its_default_filled(few, tmp_path):
    options = tiny(few, clips={"validation": (str(few),)}, epochs=1)
    video.train(options, tmp_path / "run", quiet)
    assert read_video_options(tmp_path / "run") == options


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VideoModel(window=4), "window must be odd"),
        (lambda: VideoModel(cell="tree"), "cell must be one of lstm, gru, rnn, none"),
        (lambda: VideoModel(channels=0), "channels must be at least 1"),
        (lambda: ClipOptions(width=4), "width must be at least 8"),
        (lambda: ClipOptions(unfit="ignore"), "unfit must be one of refuse, skip"),
        (lambda: ClipOptions(label_column="clip"), "another column than clip_column"),
        (lambda: VideoTraining(jitter=1.0), "jitter must be at least 0 and below 1"),
        (lambda: replace(VideoTraining(), shift=-0.1), "shift must be at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message):
    with pytest.raises(OptionError, match=message):
        build()


def test_the_step_of_a_run_is_made_again_without_its_clips(few, tmp_path):
    options = tiny(few, epochs=1)
    video.train(options, tmp_path / "run", quiet)
    network, step = video.rebuild(tmp_path / "run")
    frames = torch.randint(256, (7, 12, 16), dtype=torch.uint8)
    batch = Batch(frames, torch.tensor([5, 2]), torch.arange(7) % 3)
    torch.manual_seed(0)
    loss, _ = step(tuple(batch), None)
    torch.manual_seed(0)
    seen = augment(batch, options.training)
    torch.testing.assert_close(
        loss, cross_entropy(network(seen.frames, seen.lengths), seen.classes)
    )

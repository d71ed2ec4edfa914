"""`throughtime train video` and the commands after it, as a person calls them."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
from clip_files import write_shapes
from command_line import assert_mistake

from throughtime import record
from throughtime.data.videos import read_frames
from throughtime.tasks import video

SMALL = "--width 16 --height 12 --hidden 5 --channels 2 --features 6 --epochs 1 --threads 1".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with clips, their list, and a short causal run on it."""
    from throughtime.cli import main

    folder = tmp_path_factory.mktemp("video")
    path = write_shapes(folder, 12)
    words = ["train", "video", str(path), *SMALL, "--causal", "--cache", str(folder / "cache")]
    assert main([*words, "--out", str(folder / "run")]) == 0
    return folder


def test_training_on_generated_clips_shows_what_it_reads_and_what_to_try(tmp_path, call):
    shown = call("train", "video", *SMALL, "--batch", 60, "--out", tmp_path / "run")
    assert (shown.code, shown.err) == (0, "")
    assert "216 clips of " in shown.out and ", 4 labels" in shown.out
    assert "without the most frequent label, edit score" in shown.out
    assert f"throughtime predict {tmp_path / 'run'} clip.mp4 --srt" in shown.out


def test_evaluating_prints_the_figures_of_the_library_and_draws(folder, call):
    found = video.evaluate(folder / "run", [str(folder / "list.jsonl")])
    printed = call("evaluate", folder / "run", folder / "list.jsonl").out
    assert f"{found.share_right:.2%}  of the frames right" in printed
    assert f"{found.share_right_others:.2%}  of those that are not 'nothing'" in printed
    assert f"{found.edit:.2f}  edit score" in printed
    assert f"{found.overlaps[25]:.2f}  F1@25" in printed
    assert f"over {found.total:,} frames of 12 clips" in printed
    assert (folder / "run" / "confusion.png").exists()


def test_clips_are_labelled_as_lines_and_as_json(folder, call):
    expected, _ = video.predict(video.load(folder / "run"), folder / "1.mp4")
    words = ["predict", folder / "run", folder / "1.mp4", folder / "0.mp4"]
    lines = [line.split("\t") for line in call(*words).out.splitlines()]
    ours = [line[1:] for line in lines if line[0] == str(folder / "1.mp4")]
    assert ours == [
        [f"{span.start_s:.3f}", f"{span.end_s:.3f}", span.label] for span in expected.spans()
    ]
    first, second = map(json.loads, call(*words, "--json").out.splitlines())
    assert first["labels"] == expected.labels and second["clip"] == str(folder / "0.mp4")
    assert first["segments"][0]["start"] == 0


def test_subtitles_and_captioned_copies_are_written_into_folders(folder, tmp_path, call):
    words = ["predict", folder / "run", folder / "1.mp4", "--srt", tmp_path / "s"]
    shown = call(*words, "--burn", tmp_path / "b")
    assert str(tmp_path / "s" / "1.srt") in shown.err and shown.code == 0
    spans = video.predict(video.load(folder / "run"), folder / "1.mp4")[0].spans()
    said = [span.label for span in spans if span.label != "nothing"]
    assert (tmp_path / "s" / "1.srt").read_text().count(" --> ") == len(said)
    copy, source = (read_frames(p / "1.mp4", 16, 12) for p in (tmp_path / "b", folder))
    assert len(copy.pixels) == len(source.pixels)
    assert_mistake_after_output(call(*words, "--burn", tmp_path / "b"), "must be a new file")


def assert_mistake_after_output(result, part):
    """Exit code 2 and a sentence, after lines that were right."""
    assert result.code == 2 and part in result.err


def test_a_stream_on_the_standard_input_is_labelled_frame_by_frame(folder, call, monkeypatch):
    expected, _ = video.predict(video.load(folder / "run"), folder / "1.mp4")
    content = (folder / "1.mp4").read_bytes()
    for words in ([], ["--json"]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        lines = call("predict", folder / "run", *words).out.splitlines()
        found = [json.loads(x)["label"] if words else x.split("\t")[1] for x in lines]
        assert found == expected.labels


def test_an_ended_run_is_resumed_to_its_end(folder, call):
    assert "ended already" in call("train", "--resume", folder / "run").out


def test_the_configuration_of_a_run_can_be_fed_back(folder, tmp_path, call):
    words = ["--config", folder / "run" / record.CONFIG, "--layers", 1, "--out", tmp_path / "again"]
    assert call("train", "video", *words).code == 0
    ours, theirs = (record.read_config(f)["options"] for f in (tmp_path / "again", folder / "run"))
    assert ours["model"] == theirs["model"] | {"layers": 1}
    assert ours["clips"] == theirs["clips"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("train --resume RUN --lr 0.5", ["--lr must be left out with --resume", "video run"]),
        ("train copy --config RUN/config.yaml", ["must be of the task copy", "of video"]),
        ("train video none.jsonl", ["none.jsonl", "readable file"]),
        ("train video list.jsonl --clip-column file", ["named file", "--clip-column NAME"]),
        ("train video --window 4", ["window must be odd"]),
        ("predict RUN none.mp4", ["none.mp4", "No such file"]),
        ("predict RUN 1.mp4 --explain", ["--explain must be left out"]),
        ("predict RUN --srt s", ["--srt needs files"]),
        ("predict none 1.mp4 --srt s", ["a run must be a folder"]),
        ("generate RUN", ["must be of the task language-model", "of video"]),
    ],
)
def test_a_mistake_in_the_words_is_one_line(folder, words, parts, call, monkeypatch):
    monkeypatch.chdir(folder)
    assert_mistake(call(*words.replace("RUN", "run").split()), *parts)


def test_subtitles_are_for_video_alone(run, call):
    assert_mistake(call("predict", run, "a.mp4", "--srt", "s"), "of the task video", "language")

import errno
import os

import pytest
import torch

from throughtime import record
from throughtime.errors import RunError


def test_a_configuration_comes_back(tmp_path):
    record.write_config(tmp_path, "language-model", {"model": {"hidden": 3, "text": "é"}})
    config = record.read_config(tmp_path)
    assert config["options"] == {"model": {"hidden": 3, "text": "é"}}
    assert (config["format"], config["task"]) == (record.FORMAT, "language-model")


def test_tied_weights_are_stored_once_and_come_back_under_both_names(tmp_path):
    weight = torch.randn(40, 50)
    record.write_weights(tmp_path, {"a": weight, "b": weight, "c": torch.ones(3)[1:]})
    assert (tmp_path / record.WEIGHTS).stat().st_size < 1.5 * weight.nbytes
    found = record.read_weights(tmp_path)
    assert sorted(found) == ["a", "b", "c"]
    assert torch.equal(found["a"], weight) and torch.equal(found["b"], weight)


def test_views_that_only_overlap_stay_apart(tmp_path):
    values = torch.arange(6.0)
    record.write_weights(tmp_path, {"all": values, "half": values[:3]})
    assert record.read_weights(tmp_path)["half"].tolist() == [0, 1, 2]


def test_metrics_are_cut_back_to_the_checkpoint_and_go_on(tmp_path):
    metrics = record.Lines(tmp_path / record.METRICS, 0)
    metrics.add({"update": 1})
    kept = metrics.length
    metrics.add({"update": 2})
    metrics.close()
    metrics = record.Lines(tmp_path / record.METRICS, kept)
    metrics.add({"update": 3})
    metrics.close()
    assert [line["update"] for line in record.read_metrics(tmp_path)] == [1, 3]


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path):
    (tmp_path / record.METRICS).write_text('{"update": 1}\n{"upd')
    assert record.read_metrics(tmp_path) == [{"update": 1}]


def test_metrics_shorter_than_the_checkpoint_says_are_refused(tmp_path):
    (tmp_path / record.METRICS).write_text("{}\n")
    with pytest.raises(RunError, match="at least 9 bytes, it is damaged"):
        record.Lines(tmp_path / record.METRICS, 9)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_earlier_file_whole(tmp_path, monkeypatch, failing):
    file = tmp_path / "checkpoint.pt"
    record.write_atomically(file, b"earlier")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(RunError, match=r"No space left .*; free some space; the earlier files"):
        record.write_atomically(file, b"later")
    assert [f.name for f in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert file.read_bytes() == b"earlier"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_metrics_on_a_full_disk_say_so(tmp_path):
    (tmp_path / record.METRICS).symlink_to("/dev/full")
    metrics = record.Lines.__new__(record.Lines)
    metrics.file, metrics.length = tmp_path / record.METRICS, 0
    with open("/dev/full", "wb", buffering=0) as metrics._opened:
        with pytest.raises(RunError, match="No space left on device"):
            metrics.add({"update": 1})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(RunError, match="Read-only file system; choose a folder that can"):
        record.create(tmp_path / "run")


def test_a_run_is_never_made_over_something_else(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder, message in [(tmp_path / "file", "is a file"), (tmp_path, "is not empty")]:
        with pytest.raises(RunError, match=message):
            record.create(folder)
    record.write_config(tmp_path, "language-model", {})
    with pytest.raises(RunError, match=r"is a run; .*--resume"):
        record.create(tmp_path)


def test_only_a_run_is_said_to_be_resumed(tmp_path):
    (tmp_path / "training.txt").write_text("x")
    with pytest.raises(RunError, match=r"is not empty; [^-]*$"):
        record.check_vacant(tmp_path / ".")


def test_a_run_stopped_while_it_was_made_says_so(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / record.TEXT).write_text("{}")
    (run / f".{record.CHECKPOINT}.part").write_text("")
    with pytest.raises(RunError, match=r"stopped before its first update; .*, or delete it"):
        record.check_vacant(run)


def test_metrics_that_are_no_objects_are_refused(tmp_path):
    (tmp_path / record.METRICS).write_text("5\n")
    with pytest.raises(RunError, match="JSON objects"):
        record.read_metrics(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must hold config.yaml"),
        ("format: [", "is damaged"),
        ("just words", "no format number"),
        ("format: 1\n", "only format"),
        (f"format: {record.FORMAT + 1}\n", "update throughtime"),
    ],
)
def test_a_folder_that_is_no_usable_run_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / record.CONFIG).write_text(content)
    with pytest.raises(RunError, match=message):
        record.read_config(tmp_path)


def test_a_missing_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="must be a folder"):
        record.read_config(tmp_path / "run")


def test_damaged_files_are_refused_by_name(tmp_path):
    record.write_weights(tmp_path, {"a": torch.ones(9)})
    whole = (tmp_path / record.WEIGHTS).read_bytes()
    (tmp_path / record.WEIGHTS).write_bytes(whole[:-5])
    (tmp_path / record.TOKENS).write_text('{"kind"')
    with pytest.raises(RunError, match=r"model\.safetensors must hold safetensors, it is damaged"):
        record.read_weights(tmp_path)
    with pytest.raises(RunError, match=r"tokens\.json must hold JSON, it is damaged"):
        record.read_json(tmp_path / record.TOKENS)
    with pytest.raises(RunError, match=r"text\.json must be a readable file"):
        record.read_json(tmp_path / record.TEXT)

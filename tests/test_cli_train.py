"""`throughtime train`: what it shows, leaves and refuses."""

import errno
import os

import pytest
from command_line import SMALL, assert_mistake

from throughtime import record
from throughtime.errors import OptionError
from throughtime.tasks import demo


def test_training_ends_with_figures_and_the_next_commands(trained):
    run, shown = trained
    assert (shown.returncode, shown.stderr) == (0, "")
    best = record.read_metrics(run)[-1]["bits_per_character"]  # the only validation
    assert f"{best:.4f} bits per character" in shown.stdout
    assert f"throughtime generate {run}" in shown.stdout


def test_an_ended_run_is_resumed_to_its_end(run, call):
    assert "ended already" in call("train", "--resume", run).out


def test_the_default_folder_is_named_after_the_task_and_never_taken(tmp_path, monkeypatch):
    from throughtime.cli.output import new_folder

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    (tmp_path / "runs" / "language-model-now").mkdir(parents=True)
    assert str(new_folder("language-model")) == os.path.join("runs", "language-model-now-2")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is empty"),
        (b"a\0b", "byte 1 is 0x00"),
        (b"caf\xe9", "byte 3 is 0xe9"),
        (b"to be", "give more text"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, call, content, part):
    (tmp_path / "file").write_bytes(content)
    result = call("train", "language-model", tmp_path / "file", "--out", tmp_path / "run")
    assert_mistake(result, part)
    assert not (tmp_path / "run").exists()


def test_a_missing_path_is_refused(tmp_path, call):
    result = call("train", "language-model", tmp_path / "none.txt", "--out", tmp_path / "run")
    assert_mistake(result, "none.txt")


def test_resuming_with_another_value_is_refused_by_name(run, call):
    result = call("train", "--resume", run, "--layers", 3)
    assert_mistake(result, "--layers must be 1", "got 3", "--config")


def test_resuming_with_the_same_value_is_allowed(run, call):
    assert call("train", "--resume", run, "--layers", 1, "--threads", 1).code == 0


def test_resuming_into_another_folder_is_refused(run, tmp_path, call):
    assert_mistake(call("train", "--resume", run, "--out", tmp_path), "--out", "--resume")


def test_a_run_is_never_overwritten(run, text, call):
    before = contents(run)
    assert_mistake(
        call("train", "language-model", text, *SMALL, "--out", run), str(run), "is a run"
    )
    assert contents(run) == before


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, text, call):
    tmp_path.chmod(0o500)
    result = call("train", "language-model", text, *SMALL, "--out", tmp_path / "run")
    assert_mistake(result, "choose a folder that can be written")


def test_a_full_disk_is_one_line(tmp_path, text, call, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    result = call("train", "language-model", text, *SMALL, "--out", tmp_path / "run")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "No space left" in result.err and "free some space" in result.err


@pytest.mark.parametrize(
    ("flag", "value", "part"),
    [
        ("--seed", 2**64, "seed must be at most 9223372036854775807"),
        ("--threads", 100_000, "threads must be at most 1024"),
        ("--hidden", 100_000_000, "must fit into memory"),
        ("--hidden", 10**20, "hidden must be at most"),
        ("--hidden", 8.5, "--hidden must be a whole number, got 8.5"),
        ("--init-scale", "inf", "init_scale must be a finite number"),
        ("--init-scale", 1e39, "init_scale must be at most 1e+38"),
        ("--lr", "inf", "lr must be a finite number"),
        ("--weight-decay", "inf", "weight_decay must be a finite number"),
        ("--decay", "inf", "decay must be a finite number"),
        ("--validation-share", "nan", "validation_share must be"),
    ],
)
def test_an_impossible_number_is_refused_before_a_folder_is_made(
    text, tmp_path, call, flag, value, part
):
    result = call("train", "language-model", text, "--out", tmp_path / "run", flag, value)
    assert_mistake(result, part)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", ["captioning", "sentiment", "translation", "video"])
def test_files_of_validation_alone_are_refused(task, call):
    assert_mistake(call("train", task, "--validation", "x.tsv"), "files to learn from", "x.tsv")


@pytest.mark.parametrize("words", [[""], ["--validation", ""], ["--config", ""], ["--out", ""]])
def test_an_empty_path_is_refused_and_stands_for_no_folder(
    text, tmp_path, call, monkeypatch, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text("to be\n" * 99)
    assert_mistake(call("train", "language-model", "t.txt", *SMALL, *words), "empty", "variable")
    assert [file.name for file in tmp_path.iterdir()] == ["t.txt"]


DAMAGED_OPTIONS = [
    ("hidden: 8", "hidden: 8.5", "hidden must be a whole number, got 8.5"),
    ("hidden: 8", "hidden: true", "hidden must be a whole number, got True"),
    ("seed: 1", "seed: 1.5", "seed must be a whole number"),
    ("threads: 1", "threads: 1.5", "threads must be a whole number"),
    ("batch: 3", "batch: 2.0", "batch must be a whole number"),
    ("shuffle: true", "shuffle: maybe", "shuffle must be true or false, got 'maybe'"),
    ("validation: null", "validation: 5", "validation must be text, got 5"),
    ("lr: 0.002", "lr: .inf", "lr must be a finite number, got inf"),
    ("paths:", "paths: 5\n    #", "paths must be a list of texts, got 5"),
    ("format: 1", "format: true", "must be a whole number, it is True"),
    ("options:", "options: null\nrest:", "options must be a mapping, got None"),
    ("options:", "options: words\nrest:", "options must be a mapping, got 'words'"),
    ("task: language-model", "1: 2", "only format, throughtime, 1, options"),
]


@pytest.mark.parametrize("command", [["train", "--resume"], ["generate"], ["evaluate"]])
@pytest.mark.parametrize(("whole", "spoilt", "part"), DAMAGED_OPTIONS)
def test_every_use_of_a_run_refuses_a_spoilt_option_by_name(
    copied, call, command, whole, spoilt, part
):
    config = (copied / record.CONFIG).read_text()
    assert whole in config
    lines = config.replace(whole, spoilt, 1).splitlines()
    kept = [line for line in lines if "got 5" not in part or not line.strip().startswith("- /")]
    (copied / record.CONFIG).write_text("\n".join(kept))
    assert_mistake(call(*command, copied), record.CONFIG, part)


def test_demo_refuses_a_seed_before_it_writes(tmp_path):
    with pytest.raises(OptionError, match="seed must be at least 0, got -1"):
        demo.compare(tmp_path / "demo", -1)
    assert not (tmp_path / "demo").exists()

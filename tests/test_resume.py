"""A run that was stopped and resumed is the run never stopped, to the last bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    tiny_options,
    weight_bytes,
)

from throughtime import record
from throughtime.errors import RunError
from throughtime.tasks.language_model import resume, train
from throughtime.training.learner import Learner


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    """Drawing takes longer than these runs."""
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Text, options and the run never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    options = tiny_options(folder)
    train(options, folder / "run", quiet)
    return options, folder / "run"


def stop_at(monkeypatch, update, stop):
    """Calls `stop` within the update of that number."""
    step = Learner.training_step

    def stopping(learner, batch, batch_idx):
        step(learner, batch, batch_idx)
        if learner.at.update == update:
            stop()

    monkeypatch.setattr(Learner, "training_step", stopping)


def kill():
    raise Killed


def press_control_c():
    os.kill(os.getpid(), signal.SIGINT)


def assert_same_run(run, expected):
    assert losses(run) == losses(expected)
    assert weight_bytes(run) == weight_bytes(expected)
    ours, theirs = (torch.load(r / "checkpoint.pt", weights_only=True) for r in (run, expected))
    assert all(torch.equal(ours["model"][name], theirs["model"][name]) for name in ours["model"])
    assert torch.equal(ours["generators"]["torch"], theirs["generators"]["torch"])


@pytest.mark.parametrize(
    ("update", "stop"), [(3, kill), (21, kill), (40, kill), (21, press_control_c)]
)
def test_a_run_stopped_within_an_epoch_goes_on_to_the_same_bits(
    whole, tmp_path, monkeypatch, update, stop
):
    options, expected = whole
    with monkeypatch.context() as patched:
        stop_at(patched, update, stop)
        try:
            assert train(options, tmp_path / "run", quiet).interrupted
        except Killed:
            assert stop is kill
    resume(tmp_path / "run", quiet)
    assert_same_run(tmp_path / "run", expected)


# Weights and checkpoint of an update alone, then those of the first validation.
@pytest.mark.parametrize("write", [6, 7, 8, 9])
def test_a_run_killed_within_a_write_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch, write):
    options, expected = whole
    writes = iter(range(100))
    atomically = record.write_atomically

    def half(file, content):
        if next(writes) == write:
            file.with_name(f".{file.name}.part").write_bytes(content[: len(content) // 2])
            raise Killed
        atomically(file, content)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("throughtime.record.files.write_atomically", half)
        patched.setattr("throughtime.training.checkpoint.write_atomically", half)
        train(options, tmp_path / "run", quiet)
    resume(tmp_path / "run", quiet)
    assert_same_run(tmp_path / "run", expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 2},
        {"reach": 12},
        {"optimizer": "sgd", "lr": 0.5},
        {"patience": 1, "lr": 0.5},
        {"average": 0.9},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_workers_reach_descent_patience_and_average_resume_to_the_same_bits(
    tmp_path, monkeypatch, changes
):
    options = tiny_options(tmp_path, **changes)
    train(options, tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 30, kill)
        train(options, tmp_path / "run", quiet)
    resume(tmp_path / "run", quiet)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_workers_change_no_bit(whole, tmp_path):
    _, expected = whole
    train(tiny_options(tmp_path, workers=2), tmp_path / "run", quiet)
    assert weight_bytes(tmp_path / "run") == weight_bytes(expected)


def test_validating_and_saving_change_no_bit(tmp_path):
    for name, every in (("often", 1), ("seldom", 1000)):
        options = tiny_options(tmp_path, validate_every=every, checkpoint_every=every)
        train(options, tmp_path / name, quiet)
    ours, theirs = (
        [line for line in losses(tmp_path / name) if line["kind"] == "train"]
        for name in ("often", "seldom")
    )
    assert ours == theirs


def test_the_first_control_c_says_how_to_go_on(tmp_path, monkeypatch):
    stop_at(monkeypatch, 3, press_control_c)
    said = []
    summary = train(tiny_options(tmp_path), tmp_path / "run", said.append)
    assert summary.updates == 3 and summary.interrupted
    assert f"throughtime train --resume {tmp_path / 'run'}" in said[-1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_left_as_it_is(whole):
    _, run = whole
    before = {file: file.stat().st_mtime_ns for file in run.iterdir()}
    said = []
    assert not resume(run, said.append).interrupted
    assert "has ended already" in said[-1]
    assert before == {file: file.stat().st_mtime_ns for file in run.iterdir()}


def test_a_full_disk_stops_the_run_in_a_sentence_and_it_goes_on_later(whole, tmp_path, monkeypatch):
    options, expected = whole

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(RunError, match="free some space"):
        stop_at(patched, 20, lambda: patched.setattr(os, "fsync", full))
        train(options, tmp_path / "run", quiet)
    resume(tmp_path / "run", quiet)
    assert_same_run(tmp_path / "run", expected)


def start(run, options_in):
    code = (
        "import sys; from pathlib import Path; from tiny_runs import *\n"
        "from throughtime.tasks.language_model import resume, train\n"
        f"run = Path({str(run)!r})\n"
        "if (run / 'config.yaml').exists(): resume(run)\n"
        f"else: train(tiny_options({str(options_in)!r}, epochs=60, workers=2), run)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL
    )


@pytest.mark.long
def test_ten_kills_at_random_moments_change_no_bit(tmp_path):
    assert start(tmp_path / "whole", tmp_path).wait() == 0
    moments = random.Random(5)
    kills = 0
    while kills < 10:
        process = start(tmp_path / "run", tmp_path)
        metrics = tmp_path / "run" / "metrics.jsonl"
        length = metrics.stat().st_size if metrics.exists() else 0
        while not metrics.exists() or metrics.stat().st_size == length:
            assert process.poll() is None, "the run ended before ten kills"
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.6))
        process.kill()
        process.wait()
        kills += 1
    assert start(tmp_path / "run", tmp_path).wait() == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")

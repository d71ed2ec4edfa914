"""The flight recorder in training: what it writes, that it changes nothing, how it goes on."""

import json
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
from torch import nn

import throughtime as tt
from throughtime import record
from throughtime.errors import OptionError, RunError
from throughtime.tasks.language_model import resume, train
from throughtime.training.learner import Learner

T, B, I, H = 5, 3, 2, 4


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    """Drawing takes longer than these runs."""
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run never interrupted, read every third update."""
    folder = tmp_path_factory.mktemp("whole")
    options = tiny_options(folder, record_every=3)
    train(options, folder / "run", quiet)
    return options, folder / "run"


def train_plainly(model, folder, updates=7, every=2, recorded=True, **arguments):
    """A loop of its own; gives the weights in the end."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with tt.FlightRecorder(model, folder, every=every, **arguments) as recorder:
        for _ in range(updates):
            x = torch.randn(T, B, I)
            if recorded:
                recorder.before_step(x)
            loss = model(x)[0].square().sum()
            optimizer.zero_grad()
            loss.backward()
            if recorded:
                recorder.after_backward(loss)
            optimizer.step()
            if recorded:
                recorder.after_step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_readings_come_at_the_first_update_and_every_so_many(whole):
    _, run = whole
    readings = [line for line in record.read_flight(run) if line["kind"] == "reading"]
    updates = [line["update"] for line in readings]
    assert updates == [1, *range(3, max(updates) + 1, 3)]
    assert [layer["layer"] for layer in readings[-1]["layers"]] == [0, 1]
    assert set(readings[-1]["update_ratio"]) >= {"layers.weight_hh_l0", "readout.bias"}


def test_every_line_is_strict_json(whole):
    def refuse(constant):
        raise AssertionError(constant)

    for line in (whole[1] / record.FLIGHT).read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_recording_changes_no_bit_of_the_weights(whole, tmp_path):
    _, run = whole
    train(tiny_options(tmp_path, record_every=0), tmp_path / "off", quiet)
    assert weight_bytes(tmp_path / "off") == weight_bytes(run)
    assert losses(tmp_path / "off") == losses(run)
    assert not (tmp_path / "off" / record.FLIGHT).exists()


def test_recording_a_loop_of_ones_own_changes_no_bit(tmp_path):
    torch.manual_seed(2)
    model = tt.GRU(I, H, num_layers=2, dropout=0.5)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    on = train_plainly(model, tmp_path / "on")
    model.load_state_dict(start)
    off = train_plainly(model, tmp_path / "off", recorded=False)
    assert all(map(torch.equal, on, off))


def test_update_ratios_are_those_of_the_weights(tmp_path):
    model = tt.RNN(I, H)
    before = model.weight_hh_l0.detach().clone()
    train_plainly(model, tmp_path, updates=1)
    (line,) = record.read_flight(tmp_path)
    expected = (model.weight_hh_l0 - before).norm() / before.norm()
    assert line["update_ratio"]["weight_hh_l0"] == pytest.approx(expected.item(), rel=1e-4)


def stop_at(monkeypatch, update):
    step = Learner.training_step

    def stopping(learner, batch, batch_idx):
        step(learner, batch, batch_idx)
        if learner.at.update == update:
            raise Killed

    monkeypatch.setattr(Learner, "training_step", stopping)


@pytest.mark.parametrize("update", [3, 21, 40])
def test_a_run_that_was_killed_goes_on_to_the_same_file(whole, tmp_path, monkeypatch, update):
    options, expected = whole
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, update)
        train(options, tmp_path / "run", quiet)
    resume(tmp_path / "run", quiet)
    ours, theirs = ((run / record.FLIGHT).read_bytes() for run in (tmp_path / "run", expected))
    assert ours == theirs
    states = [
        torch.load(run / record.CHECKPOINT, weights_only=True)["flight"]
        for run in (tmp_path / "run", expected)
    ]
    assert states[0] == states[1]


def test_a_run_of_an_earlier_version_goes_on_and_begins_to_record(tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 20)
        train(tiny_options(tmp_path, record_every=0), tmp_path / "run", quiet)
    config = tmp_path / "run" / record.CONFIG
    config.write_text(config.read_text().replace("    record_every: 0\n", ""))
    checkpoint = torch.load(tmp_path / "run" / record.CHECKPOINT, weights_only=True)
    del checkpoint["flight"]
    torch.save(checkpoint, tmp_path / "run" / record.CHECKPOINT)
    resume(tmp_path / "run", quiet)
    assert (tmp_path / "run" / record.FLIGHT).exists()
    assert all(line["update"] > 16 for line in record.read_flight(tmp_path / "run"))


def test_a_file_shorter_than_the_checkpoint_says_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 20)
        train(tiny_options(tmp_path, record_every=3), tmp_path / "run", quiet)
    (tmp_path / "run" / record.FLIGHT).write_text("{}\n")
    with pytest.raises(RunError, match=r"flight\.jsonl must hold at least .* it is damaged"):
        resume(tmp_path / "run", quiet)


def test_a_warning_is_shown_among_the_progress_and_in_the_file(tmp_path):
    said = []
    options = tiny_options(
        tmp_path, record_every=3, optimizer="sgd", lr=1e4, schedule="constant", clip=1.0
    )
    train(options, tmp_path / "run", said.append)
    (shown,) = [line for line in said if "the loss diverges" in line]
    first = next(w for w in record.read_flight(tmp_path / "run") if w.get("rule") == "diverging")
    assert shown == f"warning at update {first['update']}: {first['text']}"
    assert first["update"] <= 20


def test_numbers_go_to_tensorboard(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, run = whole
    events = EventAccumulator(str(run / record.TENSORBOARD))
    events.Reload()
    readings = [line for line in record.read_flight(run) if line["kind"] == "reading"]
    shown = events.Scalars("spectral_radius/layers.1.forward")
    assert [point.step for point in shown] == [line["update"] for line in readings]
    assert shown[-1].value == pytest.approx(readings[-1]["layers"][1]["spectral_radius"])


def test_a_model_of_torch_is_recorded(tmp_path):
    train_plainly(nn.LSTM(I, H), tmp_path, updates=2)
    assert [line["update"] for line in record.read_flight(tmp_path)] == [1, 2]


def test_what_cannot_be_recorded_is_refused(tmp_path):
    with pytest.raises(OptionError, match="recurrent layer"):
        tt.FlightRecorder(nn.Linear(I, H), tmp_path)
    with pytest.raises(OptionError, match="every must be at least 1, got 0"):
        tt.FlightRecorder(tt.RNN(I, H), tmp_path, every=0)
    with tt.FlightRecorder(tt.RNN(I, H), tmp_path) as recorder:
        with pytest.raises(OptionError, match=r"batch\.1 must be tensors, .*got PosixPath"):
            recorder.before_step((torch.ones(1), Path()))

"""The memory tasks: what is learnt, scored beside its baseline, and gone on with to the bit."""

from dataclasses import replace

import pytest
import torch
from test_resume import Killed, kill, stop_at
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    weight_bytes,
)

from throughtime.data.copying import copying, copying_baseline
from throughtime.errors import OptionError, RunError
from throughtime.record import read_metrics
from throughtime.tasks import language_model, memory
from throughtime.tasks.memory_options import (
    MemoryOptions,
    MemoryTraining,
    ProblemOptions,
    read_memory_options,
)
from throughtime.tasks.memory_problems import build_problem
from throughtime.tasks.network import Network
from throughtime.tasks.network_options import BEGINNINGS, NetworkOptions

TASKS = pytest.mark.parametrize("task", ["adding", "copy"])


@pytest.fixture(autouse=True)
def short_epochs_without_curves(monkeypatch):
    """Twenty updates are an epoch, and nothing is drawn."""
    monkeypatch.setattr(memory, "EPOCH", 20)
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


def tiny(steps=4, model=None, **training):
    settings = {"batch": 6, "epochs": 2, "warmup": 5, "threads": 1, "checkpoint_every": 8}
    return MemoryOptions(
        ProblemOptions(steps),
        NetworkOptions(**({"hidden": 5} | (model or {}))),
        MemoryTraining(**(settings | training)),
    )


@TASKS
def test_a_run_that_was_killed_goes_on_to_the_same_bits(task, tmp_path, monkeypatch):
    memory.train(task, tiny(), tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 21, kill)
        memory.train(task, tiny(), tmp_path / "run", quiet)
    memory.resume(tmp_path / "run", quiet)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert weight_bytes(tmp_path / "run") == weight_bytes(tmp_path / "whole")


def test_two_workers_draw_the_same_batches(tmp_path):
    for workers in (0, 2):
        memory.train("adding", tiny(workers=workers), tmp_path / str(workers), quiet)
    assert weight_bytes(tmp_path / "0") == weight_bytes(tmp_path / "2")


def test_every_validation_stands_beside_its_baseline(tmp_path):
    memory.train("copy", tiny(), tmp_path / "run", quiet)
    found = [line for line in read_metrics(tmp_path / "run") if line["kind"] == "validation"]
    assert [line["update"] for line in found] == [20, 40]
    assert {line["baseline"] for line in found} == {copying_baseline(4)}


def test_an_lstm_learns_to_add_two_of_four_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "EPOCH", 300)
    options = tiny(model={"hidden": 24}, batch=32, lr=0.01)
    summary = memory.train("adding", options, tmp_path / "run", quiet)
    assert summary.best < (1 / 6) / 10


@TASKS
def test_the_run_keeps_every_option_with_its_default_filled(task, tmp_path):
    options = tiny(model={"cell": "irnn"})
    memory.train(task, options, tmp_path / "run", quiet)
    filled = replace(options, model=replace(options.model, init="identity"))
    assert read_memory_options(tmp_path / "run") == (task, filled)


@pytest.mark.parametrize(("cell", "init"), [(c, i) for c in BEGINNINGS for i in BEGINNINGS[c]])
def test_every_cell_begins_in_each_of_its_ways(cell, init):
    torch.manual_seed(1)
    model = NetworkOptions(cell, 8, init)
    network = Network(10, 9, None, model, 6)
    W = network.layer.weight_hh_l0.detach()[:8]
    one = torch.eye(8)
    assert torch.allclose(W @ W.T, one, atol=1e-5) == (init in ("orthogonal", "identity"))
    assert torch.equal(W, one) == (init == "identity")
    if len(BEGINNINGS[cell]) > 2:  # it has gates, and one that keeps what was
        keeps = (network.layer.bias_ih_l0 + network.layer.bias_hh_l0)[8:16]
        assert bool((keeps >= 0).all()) == (init in ("forget-bias", "chrono"))


def test_the_answers_of_a_perfect_memory_are_all_right():
    problem = build_problem("copy", 6)
    targets = copying(6, 5, 1, 0)[1]
    logits = 50 * torch.nn.functional.one_hot(targets, 9).float()
    assert problem.loss(logits, targets) < 1e-9 and problem.right(logits, targets) == 1
    logits[-1] = 0  # the last symbol is guessed to be the first of all
    expected = 0.9 + targets[-1].eq(0).float().mean() / 10
    torch.testing.assert_close(problem.right(logits, targets), expected)


def test_an_answer_of_the_adding_problem_is_right_when_it_is_close():
    right = build_problem("adding", 6).right
    y = torch.tensor([[[0.5], [0.5], [0.5], [0.5]]])
    assert right(y, torch.tensor([0.5, 0.53, 0.55, 0.45])) == 0.5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NetworkOptions("irnn", init="chrono"), "one of identity, got 'chrono'"),
        (lambda: NetworkOptions("gru", init="forget-bias"), "one of default, orthogonal, ch"),
        (lambda: NetworkOptions("tanh"), "cell must be one of lstm, gru, rnn, irnn"),
        (lambda: NetworkOptions(hidden=0), "hidden must be at least 1"),
        (lambda: ProblemOptions(1), "steps must be at least 2"),
        (lambda: MemoryTraining(epochs=0), "epochs must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message):
    with pytest.raises(OptionError, match=message):
        build()


def test_a_memory_run_is_no_language_model(tmp_path):
    memory.train("adding", tiny(epochs=1), tmp_path / "run", quiet)
    with pytest.raises(RunError, match=r"must be of the task language-model, .* is of adding"):
        language_model.evaluate(tmp_path / "run")

"""Measuring: what is verified before it is timed, and how the numbers are told."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from command_line import assert_mistake

from throughtime.bench import CELLS, MODES, Row, Shape, compare, machine, peers, report
from throughtime.bench.compare import REST_S, rest, take_turns, worst_error
from throughtime.bench.streaming import step_times
from throughtime.bench.written import loop, with_options
from throughtime.errors import OptionError

SHAPE = Shape(4, 3, 2, 5)


def test_every_side_has_a_time_for_every_round():
    row = compare("gru", SHAPE, "training", ["torch"], rounds=2)
    sides = {"throughtime, 1", "throughtime, 2", "torch, 1", "torch, 2"}
    assert set(row.times) == sides
    assert all(len(times) == 2 and min(times) > 0 for times in row.times.values())


def test_a_side_with_other_numbers_is_named_and_not_timed(monkeypatch):
    def wrong(problem):
        yield "wrong, 1", lambda: [result + 1 for result in problem.truth()]

    monkeypatch.setitem(peers.PEERS, "wrong", (wrong, ()))
    row = compare("rnn", SHAPE, "inference", ["wrong"], rounds=1)
    assert "wrong, 1" not in row.times
    assert row.notes[0].startswith("wrong, 1: differs from the loop by ")


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "absent", (peers.jax_scan, ("no_such_package",)))
    row = compare("rnn", SHAPE, "inference", ["absent"], rounds=1)
    assert row.notes == ["absent: no_such_package not installed"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("peer", "package"), [("jax", "jax"), ("onnx", "onnxruntime")])
def test_other_libraries_run_the_same_layer(cell, mode, peer, package):
    pytest.importorskip(package, reason=f"{package} is not installed: `make bench` installs it")
    assert compare(cell, SHAPE, mode, [peer], rounds=1).notes == []


def by_hand(problem, written):
    weights = written.weights(problem.layer)
    drawn = written.draw(problem.x, problem.shape.H, problem.mode == "training")
    return loop(written, weights, problem.x, *drawn)


def seeded(run):
    torch.manual_seed(0)
    return [torch.from_numpy(np.asarray(result).copy()) for result in run()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", with_options(6))
def test_a_cell_written_by_hand_gives_the_numbers_of_our_layer(name, mode):
    written = with_options(6)[name]
    problem = peers.Problem(written.cell, Shape(4, 3, 2, 6), mode, written.options)
    ours = problem.run_module(problem.layer, 1, problem.layer)
    theirs = problem.run_module(problem.layer, 1, lambda x: [by_hand(problem, written)])
    assert worst_error(seeded(theirs), seeded(ours)) < 1e-5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", with_options(6))
def test_a_cell_written_by_hand_runs_in_jax(name, mode):
    pytest.importorskip("jax", reason="jax is not installed: `make bench` installs it")
    from throughtime.bench.jax_peer import run_jax

    written, is_training = with_options(6)[name], mode == "training"
    problem = peers.Problem(written.cell, Shape(4, 3, 2, 6), mode, written.options)
    theirs = run_jax(
        written,
        written.weights(problem.layer),
        problem.x,
        problem.dy if is_training else None,
        lambda: written.draw(problem.x, 6, is_training),
    )
    ours = problem.run_module(problem.layer, 1, problem.layer)
    assert worst_error(seeded(theirs), seeded(ours)) < 1e-5


def test_the_sides_take_turns():
    order = []
    take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    turns = [side for side, _ in itertools.groupby(order)]
    assert turns == ["a", "b"] * 4  # the first turn finds how often to repeat


def test_a_turn_begins_when_no_thread_of_another_side_works_any_more(monkeypatch):
    worked = itertools.accumulate(
        [0, REST_S, 0, REST_S / 2, 0, 0, 0, 0]
    )  # before, after, before...
    pauses = []
    monkeypatch.setattr("time.process_time", lambda: next(worked))
    monkeypatch.setattr("time.sleep", pauses.append)
    rest()
    assert pauses == [REST_S] * 3


def row_with(ours, theirs):
    ceilings = machine.Ceilings(
        {1: 2e9, 2: 4e9}, {1: {"L2": 1e9, "L3": 5e8}, 2: {"L2": 2e9, "L3": 1e9}}
    )
    times = {"throughtime, 2": ours, "torch, 1": theirs}
    return Row("lstm", Shape(100, 32, 64, 64), "inference", times, ceilings, [])


def test_a_ratio_is_how_many_times_as_long_the_best_of_the_others_takes():
    row = row_with([2.0, 1.0, 3.0], [6.0, 4.0, 9.0])
    assert row.ratio("torch,") == 3.0
    assert row.best("throughtime") == ("throughtime, 2", 2.0)
    assert row.share() == pytest.approx(2 * 100 * 32 * 4 * 64 * 128 / 2.0 / 4e9)


def test_a_row_is_slower_only_beyond_its_spread():
    noisy, steady = row_with([1.0, 2.0, 4.0], [1.9] * 3), row_with([2.0] * 3, [1.9] * 3)
    assert report.slower_rows([noisy, steady]) == [steady]


def test_a_row_survives_json():
    row = row_with([2.0], [4.0])
    assert Row.from_dict(json.loads(json.dumps(row.as_dict()))) == row


def test_two_threads_can_do_more_than_one():
    ceilings = machine.measure_ceilings(rounds=2)
    assert all(rate > 0 for rates in ceilings.reading.values() for rate in rates.values())
    assert ceilings.with_better(ceilings) == ceilings


def test_the_picture_shows_every_row_under_the_roof():
    row = row_with([2.0], [4.0])
    (points,) = report.draw_roofline([row]).axes[0].collections
    operations = row.shape.operations(row.cell, row.mode)
    per_byte = operations / row.shape.bytes_read(row.cell, row.mode)
    assert points.get_offsets().tolist() == [[per_byte, operations / 2.0 / 1e9]]


def test_streaming_sides_are_verified_and_timed():
    times = step_times(8, rounds=1)
    assert {"throughtime", "LSTMCell"} <= set(times)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,0", "a,b,c,d", "1,2,3,-4", ""])
def test_a_shape_is_four_positive_numbers(text):
    with pytest.raises(OptionError, match="shape must be T,B,I,H, four whole numbers"):
        Shape.parse(text)


def test_the_command_prints_a_table_and_writes_every_time(call, tmp_path):
    out = tmp_path / "times.json"
    words = "--cell lstm --shape 4,3,2,5 --mode inference --peer torch --rounds 1 --out".split()
    shown = call("bench", *words, out)
    assert shown.code == 0, shown.err
    assert "4,3,2,5" in shown.out and "at best, 1 thread" in shown.out
    assert set(json.loads(out.read_text())) == {"machine", "rows"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "rounds must be at least 1, got 0"),
        (["--shape", "3"], "shape must be T,B,I,H"),
        (["--out", __file__], "out must be a new file"),
    ],
)
def test_the_commands_mistakes_are_one_sentence(call, arguments, message):
    assert_mistake(call("bench", *arguments), message)

"""Streams of stacks that the kernels do not know: their sessions run in torch."""

import threading

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, Tiring, flat, name_of, own_layer
from test_stream import stepped
from torch import nn

import throughtime as tt
from throughtime.errors import OptionError, ShapeError
from throughtime.stream import LayerState, TorchSession

DTYPE = torch.float64
EXACT = {"rtol": 1e-12, "atol": 1e-12}
each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)


def drawn(*shape):
    return torch.randn(*shape, dtype=DTYPE)


@each_case
@pytest.mark.parametrize("rows", [1, B])
@pytest.mark.parametrize("residual", [False, True])
def test_single_steps_are_one_unroll(case, rows, residual):
    layer = case.make(num_layers=2, residual=residual)
    session, x = tt.stream(layer, rows), drawn(T, rows, I)
    with torch.no_grad():
        y, states = layer.eval()(x, layer.initial_state(rows))
    np.testing.assert_allclose(stepped(session, x), y, **EXACT)
    for ours, theirs in zip(session.state, states, strict=True):
        for field, expected in zip(ours, theirs, strict=False):
            np.testing.assert_allclose(field, expected[0], **EXACT)


@pytest.mark.parametrize(
    "layer",
    [
        own_layer(I, H),
        tt.GRU(I, H, layer_norm=True),
        tt.LSTM(I, H, num_layers=2, residual=True),
        tt.LSTM(I, H, learn_initial=True),
        tt.RNN(I, H, nonlinearity=torch.sin),
        tt.GRU(I, H, zoneout=0.1, layer_norm=True),
        tt.LSTM(I, H, zoneout=0.1, learn_initial=True),
    ],
)
def test_what_the_kernels_do_not_know_streams_in_torch(layer):
    assert isinstance(tt.stream([tt.GRU(I, I), layer, nn.Linear(H, 2)]), TorchSession)


def mixed():
    torch.manual_seed(1)
    return nn.Sequential(tt.GRU(I, 3), own_layer(3, H), nn.Linear(H, 2)).double()


def test_kinds_of_layers_make_one_stack_with_a_readout():
    model, x = mixed(), drawn(T, B, I)
    session = tt.stream(model, rows=B)
    gru, own, readout = model.eval()
    with torch.no_grad():
        np.testing.assert_allclose(stepped(session, x), readout(own(gru(x)[0])[0]), **EXACT)
    below, above = session.state
    assert isinstance(below, LayerState) and isinstance(above, Tiring.State)
    assert below.c is None and above.slow.shape == (B, 3)


@each_case
@pytest.mark.parametrize("rows", [[1], np.array([False, True, False]), 1, None])
def test_reset_rows_begin_afresh_and_others_go_on(case, rows):
    layer, x = case.make(num_layers=2), drawn(2, 3, I).numpy()
    session, afresh, untouched = (tt.stream(layer, rows=3) for _ in range(3))
    for each in (session, untouched):
        each.step(x[0])
    session.reset(rows)
    after, first, second = session.step(x[1]), afresh.step(x[1]), untouched.step(x[1])
    others = [] if rows is None else [0, 2]
    assert np.array_equal(after[1], first[1]) and np.array_equal(after[others], second[others])


@each_case
def test_a_snapshot_is_come_back_to(case):
    session, x = tt.stream(case.make(num_layers=2), rows=2), np.ones((2, I))
    session.step(x)
    snapshot = session.snapshot()
    expected = session.step(x)
    session.step(x)
    session.restore(snapshot)
    assert np.array_equal(session.step(x), expected)


def test_a_snapshot_of_another_cell_is_refused():
    other = tt.stream(tt.GRU(I, H, layer_norm=True, dtype=DTYPE)).snapshot()
    message = r"\(\('Tiring.h', 4\), \('Tiring.slow', 3\)\) and 1 rows, got .*'GRU.h', 4"
    with pytest.raises(ShapeError, match=message):
        tt.stream(own_layer(I, H, dtype=DTYPE)).restore(other)


def test_a_session_is_a_copy_in_evaluation_mode():
    model, x = mixed().train(), np.ones(I)
    session = tt.stream(model)
    before = session.step(x)
    session.reset()
    for parameter in model.parameters():
        parameter.data.zero_()
    assert np.array_equal(session.step(x), before) and model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_cell_that_keeps_or_overwrites_what_it_is_given_hurts_nobody():
    class Rough(tt.Cell):
        def step(self, x, state):
            state.h.add_(x)
            return state

    session, x = tt.stream(tt.Layer(Rough, I)), np.ones(I, np.float32)
    assert session.step(x).tolist() == [1, 1] and session.step(x).tolist() == [2, 2]
    session.reset()
    assert session.step(x).tolist() == [1, 1] and x.tolist() == [1, 1]


def test_out_is_written_and_returned():
    session, out = tt.stream(mixed()), np.empty(2)
    assert session.step(np.ones(I), out) is out
    session.reset()
    assert np.array_equal(session.step(np.ones(I)), out)


@pytest.mark.parametrize("x", [np.ones(I, np.float32), np.ones(I + 1), np.ones((3, 1)), [1.0] * I])
def test_an_input_that_does_not_fit_is_refused(x):
    with pytest.raises(ShapeError, match=r"x must be .*\[1, 2\] or \[2\] of float64, got"):
        tt.stream(mixed()).step(x)


@pytest.mark.parametrize("out", [np.empty(2, np.float32), np.empty(5), np.empty((1, 4))[:, ::2]])
def test_an_output_that_does_not_fit_is_refused(out):
    with pytest.raises(ShapeError, match="out must be a writable C-contiguous"):
        tt.stream(mixed()).step(np.ones(I), out)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ([own_layer(I, H), tt.GRU(H + 1, H)], "inputs of GRU must be the 4 outputs .*, got 5"),
        ([own_layer(I, H), nn.Linear(H + 1, 2)], "inputs of readout must be the 4 .*, got 5"),
        (own_layer(I, H).half(), "all be float32 or all float64, got float16"),
        ([own_layer(I, H), nn.Linear(H, 2).double()], "got float32 and float64"),
        (own_layer(I, H, bidirectional=True), "must run forward only, got a bidirectional"),
        ([own_layer(I, H), nn.ReLU()], "got ReLU"),
    ],
)
def test_a_model_that_cannot_stream_is_refused(model, message):
    with pytest.raises((OptionError, ShapeError), match=message):
        tt.stream(model)


@pytest.mark.parametrize("rows", [0, 1.5, True, None])
def test_a_stream_needs_a_number_of_rows(rows):
    with pytest.raises(OptionError, match="rows must be a whole number"):
        tt.stream(own_layer(I, H), rows=rows)


def test_a_session_in_torch_is_not_saved(tmp_path):
    with pytest.raises(OptionError, match="to be saved, got one in torch, of GRU, Tiring; keep"):
        tt.stream(mixed()).save(tmp_path / "stream")
    assert not list(tmp_path.iterdir())


def test_threads_take_turns_in_one_session():
    session, x, seen = tt.stream(mixed()), np.ones(I), []
    expected = {tuple(y) for y in stepped(session, torch.ones(80, I, dtype=DTYPE))}
    session.reset()
    threads = [
        threading.Thread(target=lambda: seen.extend(tuple(session.step(x)) for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80 and set(seen) == expected


def test_a_step_that_fails_changes_no_state():
    class Picky(tt.Cell):
        def step(self, x, state):
            if x.isnan().any():
                raise ArithmeticError
            return self.State(state.h + x)

    session = tt.stream([tt.Layer(Picky, I), tt.Layer(Picky, I)])
    session.step(np.ones(I, np.float32))
    before = flat([torch.tensor(state.h) for state in session.state])
    with pytest.raises(ArithmeticError):
        session.step(np.full(I, np.nan, np.float32))
    after = flat([torch.tensor(state.h) for state in session.state])
    assert all(map(torch.equal, before, after))

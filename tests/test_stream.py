"""A stream's single steps are the layer's sequence, with torch and without."""

import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.cells.elman import NONLINEARITIES
from throughtime.errors import OptionError, ShapeError
from throughtime.native import _kernels
from throughtime.stream import Session


def projected(num_inputs, size, **options):
    return tt.LSTM(num_inputs, size + 2, proj_size=size, **options)


LAYERS = {
    "tanh": tt.RNN,
    "relu": partial(tt.RNN, nonlinearity="relu"),
    "gru": tt.GRU,
    "lstm": tt.LSTM,
    "elu": partial(tt.RNN, nonlinearity="elu"),
    "reset-before": partial(tt.GRU, reset_after=False),
    "peepholes": partial(tt.LSTM, peepholes=True),
    "coupled": partial(tt.LSTM, coupled=True),
    "coupled-peepholes": partial(tt.LSTM, coupled=True, peepholes=True),
    "projected": projected,
    "projected-everything": partial(projected, coupled=True, peepholes=True, zoneout=(0.2, 0.5)),
    "tanh-zoneout": partial(tt.RNN, zoneout=0.3),
    "relu-zoneout": partial(tt.RNN, nonlinearity="relu", zoneout=0.3),
    "gru-zoneout": partial(tt.GRU, zoneout=0.3),
    "reset-before-zoneout": partial(tt.GRU, reset_after=False, zoneout=0.3),
    "lstm-zoneout": partial(tt.LSTM, zoneout=(0.3, 0.1)),
    "recurrent-dropout": partial(tt.GRU, recurrent_dropout=0.4),
}
each_layer = pytest.mark.parametrize("layer", list(LAYERS))
I, H, O, T = 3, 5, 2, 7


def stack(layer="lstm", dtype=torch.float64, hidden=H, **options):
    torch.manual_seed(1)
    layer = LAYERS[layer](I, hidden, dtype=dtype, **options).eval()
    return [layer, nn.Linear(hidden, O, dtype=dtype)]


def outputs(model, x):
    """The layers' own, [T, rows, O]."""
    with torch.no_grad():
        for part in model:
            x = part(x) if isinstance(part, nn.Linear) else part(x)[0]
    return x.numpy()


def stepped(session, x):
    return np.stack([session.step(x_t) for x_t in x.numpy()])


@each_layer
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("hidden", [1, 5, 8, 17, 100])
def test_single_steps_are_one_unroll(layer, dtype, rows, hidden):
    model = stack(layer, dtype, hidden, num_layers=2)
    x = torch.randn(T, rows, I, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(
        stepped(tt.stream(model, rows), x), outputs(model, x), atol=tolerance, rtol=tolerance
    )


@each_layer
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_alone_gives_its_hidden_state(layer, bias):
    alone = LAYERS[layer](I, H, bias=bias, dtype=torch.float64).eval()
    x = torch.randn(T, 1, I, dtype=torch.float64)
    session = tt.stream(alone)
    np.testing.assert_allclose(stepped(session, x[:, 0]), outputs([alone], x)[:, 0], atol=1e-12)


def test_layers_of_several_modules_make_one_stack():
    model = nn.Sequential(
        tt.GRU(I, [4, 9], reset_after=False),
        tt.LSTM(9, [7, 8], proj_size=6),
        tt.LSTM(6, H, peepholes=True),
        tt.RNN(H, 6),
        nn.Linear(6, O, bias=False),
    )
    x = torch.randn(T, 1, I)
    np.testing.assert_allclose(stepped(tt.stream(model), x), outputs(model, x), atol=1e-6)


@pytest.mark.parametrize("g", NONLINEARITIES)
def test_every_nonlinearity_with_a_name_runs_in_the_kernels(g):
    alone = tt.RNN(I, H, nonlinearity=g, dtype=torch.float64)
    x = 3 * torch.randn(T, 4, I, dtype=torch.float64)
    session = tt.stream(alone, rows=4)
    np.testing.assert_allclose(stepped(session, x), outputs([alone], x), rtol=1e-12, atol=1e-12)
    assert type(session) is Session and g in _kernels.nonlinearities()


@each_layer
def test_a_layer_of_the_kernels_needs_no_torch(layer):
    assert type(tt.stream(stack(layer, num_layers=2))) is Session


@each_layer
def test_state_is_the_layers_state(layer):
    model = stack(layer, num_layers=2)
    x = torch.randn(T, 3, I, dtype=torch.float64)
    session = tt.stream(model, rows=3)
    stepped(session, x)
    with torch.no_grad():
        final = model[0](x)[1]
    fields = final if isinstance(final, tuple) else [final]
    for index, state in enumerate(session.state):
        for ours, theirs in zip(state, fields, strict=False):
            np.testing.assert_allclose(ours, theirs[index], atol=1e-12)


@each_layer
@pytest.mark.parametrize("rows", [[1], np.array([False, True, False]), 1, (1, 1)])
def test_reset_rows_begin_afresh_and_others_go_on(layer, rows):
    session, x = tt.stream(stack(layer), rows=3), torch.randn(T, 3, I, dtype=torch.float64).numpy()
    afresh, untouched = tt.stream(stack(layer), rows=3), tt.stream(stack(layer), rows=3)
    for each in (session, untouched):
        each.step(x[0])
    session.reset(rows)
    after, first, second = session.step(x[1]), afresh.step(x[1]), untouched.step(x[1])
    assert np.array_equal(after[1], first[1]) and np.array_equal(after[[0, 2]], second[[0, 2]])


def test_reset_without_rows_is_a_new_session():
    session, x = tt.stream(stack()), np.ones(I)
    first = session.step(x)
    session.step(x)
    session.reset()
    assert np.array_equal(session.step(x), first)


@each_layer
def test_a_snapshot_is_come_back_to(layer):
    session, x = tt.stream(stack(layer, num_layers=2), rows=2), np.ones((2, I))
    session.step(x)
    snapshot = session.snapshot()
    expected = session.step(x)
    session.step(x)
    session.restore(snapshot)
    assert np.array_equal(session.step(x), expected)


def test_a_snapshot_of_other_sizes_is_refused():
    message = r"\(\('lstm.h', 5\), \('lstm.c', 5\)\) and 1 rows, got .*'gru.h', 5"
    with pytest.raises(ShapeError, match=message):
        tt.stream(stack("lstm")).restore(tt.stream(stack("gru")).snapshot())
    with pytest.raises(ShapeError, match=r"\('lstm.h', 5\), \('lstm.c', 7\).* got .*c', 5"):
        tt.stream(stack("projected")).restore(tt.stream(stack("lstm")).snapshot())


def test_training_on_does_not_change_an_open_session():
    model = stack()
    session, x = tt.stream(model), np.ones(I)
    before = session.step(x)
    session.reset()
    for parameter in model[0].parameters():
        parameter.data.zero_()
    assert np.array_equal(session.step(x), before)


def test_out_is_written_and_returned():
    session, out = tt.stream(stack()), np.empty(O)
    assert session.step(np.ones(I), out) is out
    session.reset()
    assert np.array_equal(session.step(np.ones(I)), out)


def test_an_array_that_is_not_contiguous_is_copied():
    session = tt.stream(stack(), rows=2)
    wide = np.random.default_rng(0).normal(size=(2, 2 * I))
    y = session.step(wide[:, ::2])
    session.reset()
    assert np.array_equal(session.step(np.ascontiguousarray(wide[:, ::2])), y)


@pytest.mark.parametrize(
    ("x", "came"),
    [
        (np.ones(I, np.float32), r"\[3\] of float32"),
        (np.ones(I + 1), r"\[4\] of float64"),
        (np.ones((3, 1)), r"\[3, 1\] of float64"),
        ([1.0] * I, "list"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(x, came):
    with pytest.raises(ShapeError, match=rf"x must be .*\[1, 3\] or \[3\] of float64, got {came}"):
        tt.stream(stack()).step(x)


def test_rows_and_inputs_are_not_mixed_up():
    with pytest.raises(ShapeError, match=r"got \[3, 2\] of float64"):
        tt.stream(stack(), rows=2).step(np.ones((3, 2)), np.empty((2, O)))


@pytest.mark.parametrize("out", [np.empty(O, np.float32), np.empty(5), np.empty((1, 4))[:, ::2]])
def test_an_output_that_does_not_fit_is_refused(out):
    with pytest.raises(ShapeError, match="out must be a writable C-contiguous"):
        tt.stream(stack()).step(np.ones(I), out)


@pytest.mark.parametrize("rows", [[3], -4, [True, False]])
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(ShapeError, match="indices below 3 or a mask of 3"):
        tt.stream(stack(), rows=3).reset(rows)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tt.LSTM(I, H, bidirectional=True), "bidirectional"),
        (nn.LSTM(I, H), "got LSTM"),
        ([tt.GRU(I, H), nn.ReLU()], "got ReLU"),
        (nn.Linear(I, O), "got Linear"),
        ([], "one or more, got none"),
        ([tt.GRU(I, H), tt.GRU(H + 1, H)], r"weight_ih must be \[15, 5\].* got \[15, 6\]"),
        ([tt.GRU(I, H), nn.Linear(H + 1, O)], r"readout weight must be \[2, 5\]"),
        (tt.GRU(I, H).half(), "float16"),
    ],
)
def test_a_model_that_cannot_stream_is_refused(model, message):
    with pytest.raises((OptionError, ShapeError), match=message):
        tt.stream(model)


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, "2", None, 2**31, 2**60, 10**30])
def test_a_stream_needs_a_number_of_rows(rows):
    with pytest.raises(OptionError, match=rf"^rows must be .* from 1 to .*, got {rows!r}; pass"):
        tt.stream(stack(), rows=rows)


def test_threads_take_turns_in_one_session():
    model = stack(hidden=300)
    session, x, seen = tt.stream(model), np.ones(I), []
    expected = {tuple(y) for y in stepped(session, torch.ones(80, I, dtype=torch.float64))}
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


def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's count of pages")
def test_ten_million_steps_take_no_memory():
    session, x, out = tt.stream(stack("lstm", hidden=16)), np.ones(I), np.empty(O)
    for _ in range(1000):
        session.step(x, out)
    before = resident_pages()
    for _ in range(10_000_000):
        session.step(x, out)
    assert resident_pages() <= before + 16  # a byte a step would be 2441


def test_sessions_are_made_of_plain_arrays_too():
    weights = ("elman_tanh", np.ones((2, 1)), np.zeros((2, 2)), None, None)
    np.testing.assert_allclose(Session([weights]).step(np.array([0.5])), np.tanh([0.5, 0.5]))

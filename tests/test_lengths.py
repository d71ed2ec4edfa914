"""Lengths and resets at the border: what is taken, what is refused, which derivatives there are."""

import numpy as np
import pytest
import torch
from cases import CASES, B, H, I, T, flat, name_of, packed, worst_error
from torch.nn.utils.rnn import pad_packed_sequence

import throughtime as tt
from throughtime import native
from throughtime.errors import OptionError, ShapeError
from throughtime.native import _kernels
from throughtime.sequences import Rows

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
LENGTHS = torch.tensor([2, 5, 0])
RESET = torch.arange(T * B).reshape(T, B) % 4 == 1


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def of_all_orders(layer):
    """A function of x that has every kind of derivative."""
    return lambda x: layer(x, lengths=LENGTHS, reset=RESET)[0]


@each_case
def test_lengths_give_the_numbers_of_a_packed_sequence(case):
    layer, theirs = case.pair(num_layers=2, bidirectional=True)
    rows = packed([2, 5, 1])
    x, lengths = pad_packed_sequence(rows)
    y, final = theirs(rows)
    expected = [pad_packed_sequence(y)[0], *flat(final)]
    assert worst_error(flat(layer(x, lengths=lengths)), expected) < 1e-10


@pytest.mark.parametrize(
    "lengths", [[2, 5, 0], (2, 5, 0), np.array([2, 5, 0]), torch.tensor([2, 9, 5, 9, 0])[::2]]
)
def test_lengths_may_be_any_row_of_whole_numbers(lengths):
    layer, _ = CASES[2].pair()
    x = double(T, B, I)
    assert worst_error(flat(layer(x, lengths=lengths)), flat(layer(x, lengths=LENGTHS))) == 0


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([2, 5], r"lengths must be int64 \[B=3\], got int64 \[2\]; pass one number per row"),
        ([[2, 5, 0]], r"must be int64 \[B=3\], got int64 \[1, 3\]"),
        ([2.0, 5.0, 0.0], r"must be int64 \[B=3\], got float32 \[3\]"),
        (LENGTHS.int(), r"must be int64 \[B=3\], got int32 \[3\]"),
        (["two", "five", "none"], r"must be int64 \[B=3\], got list \['two', 'five', 'none'\]"),
        (3, r"must be int64 \[B=3\], got int 3"),
        ([2, -1, 0], r"lengths must be from 0 to T = 5, got \[2, -1, 0\]; count the steps"),
        ([2, 6, 0], r"lengths must be from 0 to T = 5, got \[2, 6, 0\]"),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_wrong_lengths_are_refused(lengths, message, batch_first):
    x = torch.zeros(B, T, I) if batch_first else torch.zeros(T, B, I)
    with pytest.raises(ShapeError, match=message):
        tt.GRU(I, H, batch_first=batch_first)(x, lengths=lengths)


@pytest.mark.parametrize(
    ("reset", "message"),
    [
        (RESET.int(), r"reset must be bool \[T=5, B=3\], got int32 \[5, 3\]; pass one bool per"),
        (RESET.double(), r"must be bool \[T=5, B=3\], got float64 \[5, 3\]"),
        (RESET.T, r"must be bool \[T=5, B=3\], got bool \[3, 5\]"),
        (RESET[:4], r"must be bool \[T=5, B=3\], got bool \[4, 3\]"),
        (RESET[0], r"must be bool \[T=5, B=3\], got bool \[3\]"),
        (True, r"must be bool \[T=5, B=3\], got bool True"),
    ],
    ids=str,
)
def test_a_wrong_reset_is_refused(reset, message):
    with pytest.raises(ShapeError, match=message):
        tt.LSTM(I, H)(torch.zeros(T, B, I), reset=reset)


def test_a_batch_first_reset_is_asked_for_with_its_own_axes():
    with pytest.raises(ShapeError, match=r"reset must be bool \[B=3, T=5\], got bool \[5, 3\]"):
        tt.RNN(I, H, batch_first=True)(torch.zeros(B, T, I), reset=RESET)


@pytest.mark.parametrize("given", [{"lengths": [2]}, {"reset": RESET}], ids=["lengths", "reset"])
def test_what_has_rows_of_its_own_or_none_takes_neither(given):
    layer, _ = CASES[0].pair()
    with pytest.raises(OptionError, match=r"got a PackedSequence, which has lengths of its own"):
        layer(packed([3, 1]), **given)
    with pytest.raises(OptionError, match=r"got an input \[5, 2\] without one; give it a batch"):
        layer(double(T, I), **given)


@each_case
def test_a_batch_of_no_rows_takes_no_lengths(case):
    layer, _ = case.pair()
    y, _ = layer(double(T, 0, I), lengths=[], reset=torch.zeros(T, 0, dtype=torch.bool))
    assert y.shape == (T, 0, H)


@each_case
def test_a_call_with_lengths_and_resets_runs_in_the_kernel(case, monkeypatch):
    calls = []
    for name in ("forward", "backward"):
        run = getattr(_kernels.Layer, name)
        counted = lambda *args, name=name, run=run: (calls.append(name), run(*args))  # noqa: E731
        monkeypatch.setattr(_kernels.Layer, name, counted)
    layer, _ = case.pair()
    layer(double(T, B, I), lengths=LENGTHS, reset=RESET)[0].sum().backward()
    assert calls == ["forward", "backward"]


def test_what_is_written_into_lengths_and_resets_afterwards_changes_no_gradient():
    layer, _ = CASES[2].pair()
    x, lengths, reset = double(T, B, I).requires_grad_(), LENGTHS.clone(), RESET.clone()
    expected = torch.autograd.grad(of_all_orders(layer)(x).sin().sum(), x)
    y = layer(x, lengths=lengths, reset=reset)[0]
    lengths.fill_(1000)
    reset.fill_(True)
    assert torch.equal(torch.autograd.grad(y.sin().sum(), x)[0], expected[0])


@each_case
def test_derivatives_of_every_order_and_mode_are_those_of_the_loop(case, monkeypatch):
    layer, _ = case.pair(bidirectional=True)
    x = double(T, B, I)
    loss = lambda x: of_all_orders(layer)(x).sin().sum()  # noqa: E731
    ways = [torch.func.grad, torch.func.hessian, torch.func.jacfwd]
    ours = [way(loss)(x) for way in ways]
    monkeypatch.setattr(native, "refusal", lambda *_: "the test wants the loop")
    assert worst_error(ours, [way(loss)(x) for way in ways]) < 1e-10


def test_the_gradient_of_a_gradient_is_right():
    layer, _ = CASES[2].pair(bidirectional=True)
    assert torch.autograd.gradgradcheck(of_all_orders(layer), double(T, B, I).requires_grad_())


@pytest.mark.parametrize("in_dims", [(0, 0, 0), (0, None, 0), (0, 0, None), (0, None, None)])
def test_examples_may_have_lengths_and_resets_of_their_own(in_dims):
    layer, _ = CASES[2].pair()
    x, resets = double(4, T, B, I), torch.rand(4, T, B) < 0.3
    lengths = torch.tensor([[2, 5, 0], [1, 1, 1], [5, 5, 5], [0, 3, 4]])
    everything = list(zip((x, lengths, resets), in_dims, strict=True))
    gradient = torch.func.grad(
        lambda x, lengths, reset: layer(x, lengths=lengths, reset=reset)[0].sin().sum()
    )
    ours = torch.func.vmap(gradient, in_dims)(*[v if d == 0 else v[0] for v, d in everything])
    each = [gradient(*[v[k if d == 0 else 0] for v, d in everything]) for k in range(4)]
    assert worst_error(list(ours), each) < 1e-10


def test_wrong_lengths_are_refused_under_vmap():
    layer, _ = CASES[0].pair()
    run = torch.func.vmap(lambda x, lengths: layer(x, lengths=lengths)[0])
    with pytest.raises(ShapeError, match=r"lengths must be from 0 to T = 5, got \[\[1\], \[6\]\]"):
        run(double(2, T, 1, I), torch.tensor([[1], [6]]))


def test_lengths_of_each_example_are_why_a_layer_takes_the_loop():
    layer, _ = CASES[0].pair()
    reasons = []

    def ask(x, lengths):
        reasons.append(native.refusal(layer.cells()[0], x, Rows(lengths=lengths)))
        return x

    torch.func.vmap(ask)(double(2, T, 1, I), torch.tensor([[1], [3]]))
    assert reasons == ["vmap over lengths or resets is taken through the loop"]

"""Our layers are those of torch.nn: same numbers, gradients, names, seeds and errors."""

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch
from cases import (
    CASES,
    SINGLE_CASES,
    B,
    H,
    I,
    T,
    flat,
    name_of,
    packed,
    random_state,
    results_and_gradients,
    worst_error,
)
from hypothesis import given
from hypothesis import strategies as st

import throughtime as tt
from throughtime import native

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
each_single = pytest.mark.parametrize("case", SINGLE_CASES, ids=name_of)


@st.composite
def situations(draw, least=1):
    """A layer's options, an input's form and a state, over the whole interface."""
    case = draw(st.sampled_from(CASES))
    hidden = draw(st.sampled_from([h for h in (1, 2, 4, 7, 8, 9, 17, 33) if h >= least]))
    options = {
        "input_size": draw(st.integers(least, least + 4)),
        "hidden_size": hidden,
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if case.name == "lstm" and hidden > least:
        options["proj_size"] = draw(st.sampled_from([0, 0, least, hidden - 1]))
    if options["num_layers"] > 1:
        options["dropout"] = draw(st.sampled_from([0.0, 0.0, 0.5, 1.0]))
    form = draw(st.sampled_from(["batch", "unbatched", "packed"]))
    lengths = draw(st.lists(st.integers(1, 6), min_size=min(least, 3), max_size=5))
    return case, options, form, lengths, draw(st.booleans()), draw(st.integers(0, 2**16))


def build(situation):
    """Both layers with an input and a state for them."""
    case, options, form, lengths, with_state, seed = situation
    ours, theirs = case.pair(seed, **options)
    batch = None if form == "unbatched" else len(lengths)
    if form == "packed":
        x = packed(lengths, options["input_size"])
    else:
        sizes = [max(lengths)] if batch is None else [max(lengths), batch]
        if options["batch_first"]:
            sizes.reverse()
        x = torch.randn(*sizes, options["input_size"], dtype=torch.float64, requires_grad=True)
    rows = options["num_layers"] * (1 + options["bidirectional"])
    state = random_state(theirs, rows, batch) if with_state else None
    return ours, theirs, x, state


@given(situations())
def test_every_option_gives_the_outputs_and_gradients_of_torch(situation):
    ours, theirs, x, state = build(situation)
    both = []
    for module in (ours, theirs):
        torch.manual_seed(3)  # the same dropout
        both.append(results_and_gradients(module, x, state))
    (our_outputs, our_grads), (their_outputs, their_grads) = both
    assert worst_error(our_outputs, their_outputs) < 1e-10
    assert worst_error(our_grads, their_grads) < 1e-10


@pytest.mark.filterwarnings("ignore:LSTM with projections is not:UserWarning")  # torch says so
# tensors of one or two numbers can be differences of large ones, with any relative error
@given(situations(least=8))
def test_float32_is_as_exact_as_torch_in_float32(situation):
    ours, theirs, x, state = build(situation)
    our_error, their_error = float32_errors(ours, theirs, x, state)
    # results of a few operations can be exact by luck: two roundings are granted to both
    assert our_error <= 2 * max(their_error, 2 * torch.finfo(torch.float32).eps)
    assert our_error < 1e-5


def test_float32_is_on_average_as_exact_as_torch():
    ratios = []
    for seed in range(40):
        ours, theirs = CASES[seed % 4].pair(seed, input_size=9, hidden_size=33)
        x = torch.randn(T, B, 9, dtype=torch.float64, requires_grad=True)
        our_error, their_error = float32_errors(ours, theirs, x, None)
        ratios.append(our_error / their_error)
    assert torch.tensor(ratios).log().mean().exp() < 1.25


def float32_errors(ours, theirs, x, state):
    """Errors of both layers in float32 against the plain loop in float64."""
    # at relu's kink rounding decides the gradient, so that only outputs can be compared
    parts = 1 if getattr(ours, "nonlinearity", "") == "relu" else 2
    ours.eval(), theirs.eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("throughtime.native.refusal", lambda *_: "the truth is the loop's")
        exact = joined(results_and_gradients(ours, x, state)[:parts])
    x, state = to_float32(x), None if state is None else to_float32(state)
    errors = []
    for module in (ours.float(), theirs.float()):
        narrow = joined(results_and_gradients(module, x, state)[:parts])
        errors.append(worst_error(narrow, exact))
    return errors


def joined(lists):
    """One list of them all."""
    return [tensor for part in lists for tensor in part]


def to_float32(value):
    """The same inputs rounded to float32, as new leaves."""
    if isinstance(value, tuple) and not hasattr(value, "batch_sizes"):
        return tuple(map(to_float32, value))
    if hasattr(value, "batch_sizes"):
        return type(value)(to_float32(value.data), *value[1:])
    return value.detach().float().requires_grad_()


@each_case
def test_the_kernel_runs_wherever_it_says_so(case):
    ours, _ = case.pair()
    x = torch.randn(T, B, I, dtype=torch.float64)
    assert native.refusal(ours.cells()[0], x) is None
    assert "float16" in native.refusal(ours.cells()[0], x.half())
    assert "meta" in native.refusal(ours.cells()[0], x.to("meta"))


@each_case
def test_the_same_seed_draws_the_weights_of_torch(case):
    options = {**case.options, "num_layers": 2, "bidirectional": True}
    modules = []
    for kind in (case.layer, case.torch_layer):
        torch.manual_seed(11)
        modules.append(kind(I, H, **options))
    ours, theirs = (list(m.state_dict().items()) for m in modules)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True))


@each_case
def test_state_dicts_load_both_ways(case):
    ours, theirs = case.pair(num_layers=2, bidirectional=True)
    ours.reset_parameters()
    theirs.load_state_dict(ours.state_dict())
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert len(ours.all_weights) == len(theirs.all_weights) == 4
    assert repr(ours) == repr(theirs)
    ours.flatten_parameters()


@each_case
def test_copies_and_pickles_compute_the_same(case):
    ours, _ = case.pair()
    x = torch.randn(T, B, I, dtype=torch.float64)
    stored = io.BytesIO()
    torch.save(ours, stored)
    stored.seek(0)
    copies = [copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))]
    copies.append(torch.load(stored, weights_only=False))
    assert all(torch.equal(c(x)[0], ours(x)[0]) for c in copies)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.long)])
@each_case
@pytest.mark.usefixtures("fresh_compiler")
def test_each_layer_compiles_into_one_graph(case, backend):
    ours, theirs = case.pair(num_layers=2, bidirectional=True)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(ours, fullgraph=True, backend=backend)
    inputs = [x, *ours.parameters()]
    grads = torch.autograd.grad(sum(o.sum() for o in flat(compiled(x))), inputs)
    expected = torch.autograd.grad(sum(o.sum() for o in flat(theirs(x))), [x, *theirs.parameters()])
    assert worst_error(flat(compiled(x)), flat(theirs(x))) < 1e-10
    assert worst_error(list(grads), list(expected)) < 1e-10


@pytest.mark.parametrize(
    "how",
    [
        "torch.compile(layer, backend='eager', fullgraph=True)(x)",
        "torch.export.export(layer, (x,))",
    ],
)
def test_a_layer_compiles_before_any_has_run(how):
    made = "(tt.RNN(1, 1), tt.RNN(1, 1, nonlinearity='relu'), tt.LSTM(1, 1), tt.GRU(1, 1))"
    script = f"""
import torch, throughtime as tt
x = torch.ones(2, 1, 1)
for layer in {made}:
    {how}
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@each_case
def test_functional_call_uses_the_weights_it_is_given(case):
    ours, theirs = case.pair()
    x = torch.randn(T, B, I, dtype=torch.float64)
    zeros = {name: torch.zeros_like(p) for name, p in ours.named_parameters()}
    replaced = torch.func.functional_call(ours, zeros, (x,))
    assert torch.equal(replaced[0], torch.func.functional_call(theirs, zeros, (x,))[0])


@each_case
@pytest.mark.parametrize(
    "options",
    [
        {"input_size": 0},
        {"input_size": 2.0},
        {"hidden_size": 0},
        {"hidden_size": "4"},
        {"num_layers": 0},
        {"bias": 1},
        {"batch_first": None},
        {"dropout": 1.5},
        {"dropout": True},
    ],
    ids=str,
)
def test_a_wrong_option_raises_what_torch_raises(case, options):
    options = {"input_size": I, "hidden_size": H} | options
    with pytest.raises(Exception) as theirs:
        case.torch_layer(**options, **case.options)
    with pytest.raises(type(theirs.value)) as ours:
        case.layer(**options, **case.options)
    assert isinstance(ours.value, tt.errors.OptionError)


@each_case
@pytest.mark.parametrize(
    ("shape", "rows", "batch"),
    [
        ((T, B, I + 1), 1, B),
        ((T,), 1, B),
        ((T, B, I, 1), 1, B),
        ((0, B, I), 1, B),
        ((T, B, I), 2, B),
        ((T, B, I), 1, B + 1),
        ((T, B, I), 1, None),
        ((T, I), 1, B),
    ],
    ids=str,
)
def test_a_wrong_shape_raises_what_torch_raises(case, shape, rows, batch):
    ours, theirs = case.pair()
    arguments = torch.zeros(shape, dtype=torch.float64), random_state(theirs, rows, batch)
    with pytest.raises((RuntimeError, ValueError)) as expected:
        theirs(*arguments)
    with pytest.raises(type(expected.value)) as ours_raised:
        ours(*arguments)
    assert isinstance(ours_raised.value, tt.errors.ShapeError)


@each_case
def test_another_dtype_than_the_weights_is_refused(case):
    ours, _ = case.pair()
    with pytest.raises(ValueError, match=r"input must be torch\.float64 like the weights"):
        ours(torch.zeros(T, B, I))


def test_an_lstm_refuses_a_single_state():
    with pytest.raises(tt.errors.ShapeError, match=r"pair \(h_0, c_0\)"):
        tt.LSTM(I, H)(torch.zeros(T, B, I), torch.zeros(1, B, H))


def test_dropout_without_a_place_to_act_is_mentioned():
    with pytest.warns(UserWarning, match="between layers"):
        tt.LSTM(I, H, dropout=0.5)


@pytest.mark.parametrize("kind", [tt.RNN, tt.GRU])
def test_only_the_lstm_takes_a_projection(kind):
    with pytest.raises(TypeError, match="proj_size"):
        kind(I, H, proj_size=2)
    with pytest.raises(
        ValueError, match=r"proj_size must be 0 \(none\) or from 1 to hidden_size - 1"
    ):
        tt.LSTM(I, H, proj_size=H)


@each_case
def test_an_empty_batch_gives_empty_outputs(case):
    ours, theirs = case.pair()
    x = torch.zeros(T, 0, I, dtype=torch.float64)
    assert [o.shape for o in flat(ours(x))] == [o.shape for o in flat(theirs(x))]


@each_single
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("shape", [(B, I), (I,)], ids=str)
def test_a_single_step_is_that_of_torch(case, bias, with_state, shape):
    ours, theirs = case.pair(bias=bias)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    h = [torch.randn(*shape[:-1], H, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    state = (tuple(h) if case.name == "lstm" else h[0]) if with_state else None
    if bias:
        both = [results_and_gradients(m, x, state) for m in (ours, theirs)]
        assert worst_error(both[0][1], both[1][1]) < 1e-10
    assert worst_error(flat(ours(x, state)), flat(theirs(x, state))) < 1e-10
    assert repr(ours) == repr(theirs)


@each_single
def test_a_single_step_refuses_what_torch_refuses(case):
    ours, theirs = case.pair()
    for shape in ((T, B, I), (B, I + 1)):
        x = torch.zeros(shape, dtype=torch.float64)
        with pytest.raises((RuntimeError, ValueError)) as expected:
            theirs(x)
        with pytest.raises(type(expected.value)):
            ours(x)

"""The registered operators: what compilers reach, and what they must refuse."""

import pytest
import torch
from cases import CASES, B, H, I, T, flat, name_of, worst_error
from torch.autograd import forward_ad

from throughtime.errors import OptionError, ShapeError
from throughtime.native import operators
from throughtime.sequences import Rows

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
LSTM = CASES[2]

pytestmark = pytest.mark.usefixtures("fresh_compiler")


def name_of_kernel(case):
    return case.name.replace("rnn", "elman").replace("-", "_")


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def operands_of(case):
    """x, states and weights of one layer."""
    layer, _ = case.pair()
    weights = [weight.detach() for weight in layer.parameters()]
    states = [torch.zeros(1, B, H, dtype=torch.float64)] * (2 if case.name == "lstm" else 1)
    return [double(T, B, I), *states, *weights]


def operator_of(case):
    """`throughtime::layer` as a function of x, on the weights of one layer."""
    _, *others = operands_of(case)
    return lambda x: operators.layer_operator(name_of_kernel(case), 1, [x, *others], *Rows())


def tangent_of(function, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(x, torch.ones_like(x))))


@pytest.fixture
def calls(monkeypatch):
    """How often an operator ran."""
    found, forward = [], operators.forward
    monkeypatch.setattr(
        operators, "forward", lambda *args, **options: found.append(1) or forward(*args, **options)
    )
    return found


@pytest.mark.parametrize("way", ["dual", "jvp"])
def test_an_operator_refuses_forward_mode(way):
    run, x = operator_of(LSTM), double(T, B, I)
    ways = {
        "dual": lambda: tangent_of(lambda x: run(x)[0], x),
        "jvp": lambda: torch.func.jvp(lambda x: run(x)[0], (x,), (x,)),
    }
    with pytest.raises(OptionError, match=r"must run without forward-mode differentiation"):
        ways[way]()


def test_an_exported_layer_refuses_forward_mode():
    layer, _ = LSTM.pair()
    x = double(T, B, I)
    exported = torch.export.export(layer, (x,)).module()
    with pytest.raises(OptionError, match=r"must run without forward-mode"):
        tangent_of(lambda x: exported(x)[0], x)


def test_a_compiled_layer_runs_the_operator_and_gives_its_gradients(calls):
    layer, _ = LSTM.pair()
    x = double(T, B, I).requires_grad_()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    inputs = [x, *layer.parameters()]
    results = []
    for run in (compiled, layer):
        y = flat(run(x))
        results.append([*y, *torch.autograd.grad(sum(out.sin().sum() for out in y), inputs)])
    assert worst_error(*results) < 1e-12 and len(calls) == 1


@each_case
def test_an_exported_layer_runs_the_operator(case, calls):
    layer, _ = case.pair()
    exported = torch.export.export(layer, (double(T, B, I),)).module()
    calls.clear()
    exported(double(T, B, I))
    assert len(calls) == 1


RESET = torch.arange(T * B).reshape(T, B) % 4 == 1


@pytest.mark.parametrize(
    "rows",
    [
        Rows(),
        Rows(batch_sizes=torch.tensor([3, 2, 1])),
        Rows(lengths=torch.tensor([2, 5, 0])),
        Rows(reset=RESET),
    ],
)
def test_operators_keep_the_rules_of_operators(rows):
    layer, _ = LSTM.pair(bidirectional=True)
    weights = [weight.detach().requires_grad_() for weight in layer.parameters()]
    states = [double(2, B, H) for _ in range(2)]
    x = double(T, B, I) if rows.batch_sizes is None else double(6, I)
    tensors = [x.requires_grad_(), *states, *weights]
    torch.library.opcheck(operators.layer_operator, ("lstm", 2, tensors, *rows))


def test_an_operator_refuses_lengths_that_would_read_behind_the_input():
    arguments = ("lstm", 1, operands_of(LSTM), None, torch.tensor([2, T + 1, 0]), None)
    with pytest.raises(ShapeError, match=r"lengths must be from 0 to T = 5, got \[2, 6, 0\]"):
        operators.layer_operator(*arguments)


@pytest.mark.parametrize("lengths", [[2, 5, 0], torch.tensor([2, 5, 0])])
def test_a_compiled_layer_takes_lengths_and_resets_without_a_graph_break(lengths, calls):
    layer, _ = LSTM.pair(num_layers=2, bidirectional=True)
    x = double(T, B, I).requires_grad_()
    results = []
    for run in (torch.compile(layer, backend="aot_eager", fullgraph=True), layer):
        y = flat(run(x, lengths=lengths, reset=RESET))
        results.append([*y, *torch.autograd.grad(sum(out.sin().sum() for out in y), x)])
    assert worst_error(*results) < 1e-12 and len(calls) == 2


def test_an_exported_layer_takes_other_lengths_and_refuses_wrong_ones():
    layer, _ = LSTM.pair()
    x, lengths = double(T, B, I), torch.tensor([2, 5, 0])
    exported = torch.export.export(layer, (x,), {"lengths": lengths, "reset": RESET}).module()
    other = {"lengths": torch.tensor([1, 0, 4]), "reset": ~RESET}
    assert worst_error(flat(exported(x, **other)), flat(layer(x, **other))) < 1e-12
    with pytest.raises(ShapeError, match=r"lengths must be from 0 to T = 5, got \[-1, 0, 4\]"):
        exported(x, lengths=torch.tensor([-1, 0, 4]), reset=RESET)

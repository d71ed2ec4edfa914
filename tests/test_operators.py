"""The registered operators: what compilers reach, and what they must refuse."""

import pytest
import torch
from cases import CASES, B, H, I, T, flat, name_of, worst_error
from torch.autograd import forward_ad

from throughtime.errors import OptionError
from throughtime.native import operators

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
LSTM = CASES[2]


def name_of_kernel(case):
    return case.name.replace("rnn", "elman").replace("-", "_")


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def operator_of(case, **options):
    """`throughtime::layer` as a function of x, on the weights of one layer."""
    layer, _ = case.pair(**options)
    weights = [weight.detach() for weight in layer.parameters()]
    states = [torch.zeros(1, B, H, dtype=torch.float64)] * (2 if case.name == "lstm" else 1)
    return lambda x: operators.layer_operator(name_of_kernel(case), 1, [x, *states, *weights], None)


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


@pytest.mark.parametrize("batch_sizes", [None, [3, 2, 1]])
def test_operators_keep_the_rules_of_operators(batch_sizes):
    layer, _ = LSTM.pair(bidirectional=True)
    weights = [weight.detach().requires_grad_() for weight in layer.parameters()]
    states = [double(2, B, H) for _ in range(2)]
    x = double(T, B, I) if batch_sizes is None else double(6, I)
    sizes = None if batch_sizes is None else torch.tensor(batch_sizes)
    tensors = [x.requires_grad_(), *states, *weights]
    torch.library.opcheck(operators.layer_operator, ("lstm", 2, tensors, sizes))

"""The kernel and every derivative of it equal the plain loop."""

import pytest
import torch
from cases import CASES, B, I, T, flat, name_of, packed, random_state, worst_error
from torch.autograd import gradcheck, gradgradcheck

import throughtime as tt
from throughtime.layers import unroll_directions
from throughtime.sequences import Rows

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
each_form = pytest.mark.parametrize("form", ["batch", "packed"])
both_directions = pytest.mark.parametrize("bidirectional", [False, True])


def in_loop(layer, monkeypatch):
    """The same layer, kept out of the kernel."""

    def run(*args):
        with monkeypatch.context() as patch:
            patch.setattr("throughtime.native.refusal", lambda *_: "the test wants the loop")
            return layer(*args)

    return run


def function_of_everything(layer, form):
    """A function of the input, the state and every parameter, and values for them."""
    rows = 2 if layer.bidirectional else 1
    x = packed([2, 5, 3]) if form == "packed" else torch.randn(T, B, I).double()
    states = flat(random_state(layer, rows, B))
    names = [name for name, _ in layer.named_parameters()]
    values = [flat(x)[0], *states, *layer.parameters()]
    values = [v.detach().clone().requires_grad_() for v in values]

    def function(data, *tensors):
        given = type(x)(data, *x[1:]) if form == "packed" else data
        hx = tensors[0] if len(states) == 1 else tensors[: len(states)]
        weights = dict(zip(names, tensors[len(states) :], strict=True))
        return tuple(flat(torch.func.functional_call(layer, weights, (given, hx))))

    return function, values


def scalar_of(layer, x):
    """A loss in which every output matters."""

    def scalar(weights):
        outputs = flat(torch.func.functional_call(layer, weights, (x,)))
        return sum(out.sin().sum() for out in outputs)

    return scalar


@each_case
@each_form
@both_directions
def test_gradients_agree_with_finite_differences(case, form, bidirectional):
    ours, _ = case.pair(bidirectional=bidirectional)
    function, values = function_of_everything(ours, form)
    assert gradcheck(function, values)


@each_case
@each_form
def test_gradients_of_gradients_agree_with_finite_differences(case, form):
    ours, _ = case.pair(bidirectional=True, hidden_size=2, input_size=1)
    if form == "packed":
        x = packed([1, 3], width=1)
    else:
        x = torch.randn(3, 2, 1, dtype=torch.float64, requires_grad=True)
    data = flat(x)[0]

    def function(data, weight):
        given = type(x)(data, *x[1:]) if form == "packed" else data
        return torch.func.functional_call(ours, {"weight_hh_l0": weight}, (given,))[0][0]

    weight = ours.weight_hh_l0.detach().clone().requires_grad_()
    assert gradgradcheck(function, (data, weight))


WANTED = {
    "x": lambda name: name == "x",
    "states": lambda name: name in ("h0", "c0"),
    "weights": lambda name: name.startswith("weight"),
    "biases": lambda name: name.startswith("bias"),
    "all": lambda name: True,
}


def second_derivatives(layer, wanted):
    """Of a loss in every output: gradients, and gradients of their squares, of who wants them."""
    torch.manual_seed(2)
    x, states = torch.randn(T, B, I).double(), flat(random_state(layer, 2, B))
    named = {"x": x, **dict(zip(("h0", "c0"), states, strict=False))}
    named |= {name: p.detach().clone() for name, p in layer.named_parameters()}
    for name, tensor in named.items():
        named[name] = tensor.detach().requires_grad_(wanted(name))
    inputs = [tensor for tensor in named.values() if tensor.requires_grad]
    hx = (named["h0"], named["c0"]) if "c0" in named else named["h0"]
    weights = {name: named[name] for name, _ in layer.named_parameters()}
    outputs = flat(torch.func.functional_call(layer, weights, (named["x"], hx)))
    loss = sum(out.sin().sum() for out in outputs)
    first = torch.autograd.grad(loss, inputs, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
    return [*first, *second]


@each_case
@pytest.mark.parametrize("wanted", WANTED)
def test_second_derivatives_of_any_inputs_are_the_loop_s(case, wanted, monkeypatch):
    ours, _ = case.pair(bidirectional=True)
    of_kernel = second_derivatives(ours, WANTED[wanted])
    of_loop = in_loop(second_derivatives, monkeypatch)(ours, WANTED[wanted])
    assert worst_error(of_kernel, of_loop) < 1e-10


@each_case
def test_vmap_over_rows_is_the_batch(case):
    ours, _ = case.pair(bidirectional=True)
    x = torch.randn(T, B, I, dtype=torch.float64)
    rows = torch.func.vmap(lambda row: ours(row)[0], in_dims=1, out_dims=1)(x)
    assert worst_error([rows.detach()], [ours(x)[0].detach()]) < 1e-10


@each_case
@pytest.mark.parametrize("transform", ["grad", "jacrev", "jacfwd", "hessian"])
def test_transforms_of_torch_func_agree_with_the_loop(case, transform, monkeypatch):
    ours, _ = case.pair(hidden_size=3)
    x = torch.randn(T, B, I, dtype=torch.float64)
    weights = {"weight_hh_l0": ours.weight_hh_l0.detach()}
    apply = getattr(torch.func, transform)
    of_kernel = apply(scalar_of(ours, x))(weights)
    of_loop = apply(in_loop(lambda w: scalar_of(ours, x)(w), monkeypatch))(weights)
    expected = torch.autograd.functional.jacobian(
        lambda w: scalar_of(ours, x)({"weight_hh_l0": w}), weights["weight_hh_l0"]
    )
    if transform != "hessian":
        assert worst_error([of_kernel["weight_hh_l0"]], [expected]) < 1e-10
    leaves = torch.utils._pytree.tree_leaves
    assert worst_error(leaves(of_kernel), leaves(of_loop)) < 1e-10


@each_case
def test_forward_mode_derivatives_agree_with_reverse_mode(case):
    ours, _ = case.pair()
    x, tangent = torch.randn(2, T, B, I, dtype=torch.float64)
    _, forward = torch.func.jvp(lambda x: ours(x)[0], (x,), (tangent,))
    _, pull_back = torch.func.vjp(lambda x: ours(x)[0], x)
    other = torch.randn_like(forward)
    (backward,) = pull_back(other)
    assert (forward * other).sum().item() == pytest.approx((tangent * backward).sum().item())


@each_case
def test_vmap_gives_each_gradient_alone(case):
    ours, _ = case.pair()
    x = torch.randn(4, T, B, I, dtype=torch.float64)
    weights = {name: p.detach() for name, p in ours.named_parameters()}

    def gradient(x):
        return torch.func.grad(lambda w: scalar_of(ours, x)(w))(weights)

    together = torch.func.vmap(gradient)(x)
    for index in range(4):
        alone = gradient(x[index])
        assert worst_error([g[index] for g in together.values()], list(alone.values())) < 1e-10


@each_case
@each_form
def test_the_loop_itself_is_torch(case, form):
    ours, theirs = case.pair(bidirectional=True)
    x = packed([2, 5, 3]) if form == "packed" else torch.randn(T, B, I).double()
    state = random_state(theirs, 2, B)
    (start,) = tt.States.from_torch(state, num_directions=2)
    data, batch_sizes = flat(x)[0], None
    if form == "packed":
        batch_sizes = x.batch_sizes
        start = type(start)(*(field[:, x.sorted_indices] for field in start))
    y, final = unroll_directions(ours.cells()[0], data, start, Rows(batch_sizes))
    if form == "packed":
        final = [field[:, x.unsorted_indices] for field in final]
    assert worst_error([y, *final], flat(theirs(x, state))) < 1e-12


@each_case
def test_autocast_changes_no_number(case):
    ours, _ = case.pair()
    ours.float()
    x = torch.randn(T, B, I, requires_grad=True)
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", enabled=enabled):
            gradients.append(torch.autograd.grad(ours(x)[0].sum(), [x, *ours.parameters()]))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@each_case
@pytest.mark.usefixtures("fresh_compiler")
def test_an_exported_layer_computes_the_same(case):
    ours, _ = case.pair()
    x = torch.randn(T, B, I, dtype=torch.float64)
    exported = torch.export.export(ours, (x,)).module()
    assert worst_error(flat(exported(x)), flat(ours(x))) < 1e-12


@each_case
def test_backward_works_in_evaluation_mode(case):
    ours, _ = case.pair()
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    ours.eval()(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0


@each_case
def test_one_and_two_threads_give_the_same_bits(case):
    ours, _ = case.pair(input_size=64, hidden_size=128)
    x = torch.randn(20, 16, 64, dtype=torch.float64)
    most, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(flat(ours(x)))
    finally:
        torch.set_num_threads(most)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

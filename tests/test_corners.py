"""Corners of PyTorch that reach a layer: each gives torch's numbers or a refusal, never a guess."""

import pytest
import torch
from cases import CASES, B, H, I, T, flat, name_of, packed, results_and_gradients, worst_error
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import PackedSequence
from torch.utils.checkpoint import checkpoint

import throughtime as tt
from throughtime import cells, native
from throughtime.errors import ShapeError
from throughtime.layers import run_layer, unroll_directions
from throughtime.native import _kernels

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)


def double(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@each_case
def test_forward_and_backward_really_call_the_kernel(case, monkeypatch):
    calls = []
    for name in ("forward", "backward"):
        run = getattr(_kernels.Layer, name)
        counted = lambda *args, name=name, run=run: (calls.append(name), run(*args))  # noqa: E731
        monkeypatch.setattr(_kernels.Layer, name, counted)
    ours, _ = case.pair()
    results_and_gradients(ours, double(T, B, I).requires_grad_())
    assert calls == ["forward", "backward"]


@pytest.mark.parametrize(
    "sizes",
    [[3, 100], [3, 2, 2], [1, 2, 3], [], [6, 0], [[3], [3]]],
    ids=str,
)
def test_batch_sizes_that_do_not_fit_the_rows_are_refused(sizes):
    with pytest.raises(ShapeError, match="batch_sizes must be int64"):
        tt.GRU(I, H)(PackedSequence(torch.randn(6, I), torch.tensor(sizes, dtype=torch.int64)))


def test_batch_sizes_may_have_gaps_in_memory():
    x = packed([3, 2, 1])
    spread = torch.stack([x.batch_sizes, x.batch_sizes], dim=1)[:, 0]
    ours, _ = CASES[0].pair()
    assert torch.equal(ours(PackedSequence(x.data, spread))[0].data, ours(x)[0].data)


@each_case
@pytest.mark.parametrize(
    "wrong",
    [
        {"weight_hh_l0": torch.zeros(2, 2, dtype=torch.float64)},
        {"weight_hh_l0": torch.zeros(4, 5, dtype=torch.float64)},
        {"bias_hh_l0": torch.zeros(3, dtype=torch.float64)},
        {"bias_ih_l0": torch.zeros(4 * H)},
        {"weight_hh_l0": torch.zeros(4, 4, device="meta")},
    ],
    ids=["small", "wide", "bias", "dtype", "meta"],
)
def test_weights_that_do_not_fit_each_other_are_refused(case, wrong):
    ours, _ = case.pair()
    with pytest.raises((ShapeError, RuntimeError), match=r"must be|size|shape"):
        torch.func.functional_call(ours, wrong, (double(T, B, I),))


def test_a_lone_bias_is_refused():
    cell = cells.GRU(double(3 * H, I), double(3 * H, H), bias_hh=double(3 * H))
    with pytest.raises(ShapeError, match="bias_ih and bias_hh must both"):
        run_layer([cell], double(T, B, I), cells.HiddenState(double(1, B, H)))


@each_case
@pytest.mark.parametrize("rows", [B - 1, B + 1])
def test_states_of_another_number_of_rows_are_refused(case, rows):
    ours, _ = case.pair()
    with pytest.raises(ShapeError, match=rf"h must be \[1, {B}, {H}\]"):
        run_layer(ours.cells()[0], double(T, B, I), ours.initial_state(rows)[0])


def test_directions_of_different_kinds_take_the_loop():
    pair = [cells.Elman(double(H, I), double(H, H), nonlinearity=g) for g in ("tanh", "relu")]
    x, state = double(T, B, I), cells.HiddenState(double(2, B, H))
    assert "different kinds" in native.refusal(pair, x)
    assert torch.equal(run_layer(pair, x, state)[0], unroll_directions(pair, x, state)[0])


@each_case
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_activation_checkpointing_gives_the_same_gradients(case, use_reentrant):
    ours, _ = case.pair()
    x = double(T, B, I).requires_grad_()
    inputs = [x, *ours.parameters()]
    expected = torch.autograd.grad(ours(x)[0].sum(), inputs)
    checkpoint(ours, x, use_reentrant=use_reentrant)[0].sum().backward()
    assert all(torch.equal(i.grad, e) for i, e in zip(inputs, expected, strict=True))


@each_case
def test_final_states_may_be_overwritten(case):
    gradients = []
    for module in case.pair():
        y, final = module(double(T, B, I).fill_(0.5))
        for state in flat(final):
            state[:, 1] = 0  # an episode of row 1 has ended
        (y.sum() + sum(s.sum() for s in flat(final))).backward()
        gradients.append([p.grad for p in module.parameters()])
    assert worst_error(*gradients) < 1e-10


@each_case
def test_saved_tensors_may_come_back_with_other_strides(case):
    ours, _ = case.pair()
    x = double(T, B, I).requires_grad_()
    expected = torch.autograd.grad(ours(x)[0].sum(), [x, *ours.parameters()])

    def spread(tensor):
        return torch.stack([tensor, tensor], dim=-1)[..., 0] if tensor.dim() else tensor

    with torch.autograd.graph.saved_tensors_hooks(spread, lambda tensor: tensor):
        y = ours(x)[0]
    again = torch.autograd.grad(y.sum(), [x, *ours.parameters()])
    assert worst_error(list(again), list(expected)) < 1e-12


@each_case
def test_a_negative_view_keeps_its_sign(case):
    ours, _ = case.pair(bidirectional=True)
    x = double(T, B, I)
    seen = torch._neg_view(x).requires_grad_()
    ours_of_view, expected = (
        [*outputs, *gradients]
        for outputs, gradients in (
            results_and_gradients(ours, seen),
            results_and_gradients(ours, (-x).requires_grad_()),
        )
    )
    assert worst_error(ours_of_view, expected) < 1e-12


@each_case
def test_an_ensemble_under_vmap_equals_its_members(case):
    members = [case.pair(seed)[0] for seed in range(3)]
    weights, buffers = torch.func.stack_module_state(members)
    x = double(T, B, I)

    def run(weights, buffers):
        return torch.func.functional_call(members[0], (weights, buffers), (x,))[0]

    with torch.no_grad():
        together = torch.func.vmap(run)(weights, buffers)
    expected = torch.stack([member(x)[0] for member in members])
    assert worst_error([together], [expected.detach()]) < 1e-10


@each_case
def test_many_gradients_at_once_equal_one_after_the_other(case):
    ours, _ = case.pair()
    x = double(T, B, I).requires_grad_()
    y = ours(x)[0]
    directions = double(3, *y.shape)
    (together,) = torch.autograd.grad(y, x, directions, is_grads_batched=True, retain_graph=True)
    alone = [torch.autograd.grad(y, x, d, retain_graph=True)[0] for d in directions]
    assert worst_error([together], [torch.stack(alone)]) < 1e-10


@each_case
def test_fake_tensors_give_shapes_and_traces_give_numbers(case):
    ours, _ = case.pair()
    x, other = double(T, B, I), double(T, B, I)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert ours(mode.from_tensor(x))[0].shape == (T, B, H)
    with torch.no_grad():
        traced = make_fx(lambda x: ours(x)[0])(x)
    assert torch.equal(traced(other), ours(other)[0])


@each_case
def test_the_default_device_is_not_the_kernel_s(case):
    ours, _ = case.pair()
    x = packed([2, 5, 3])
    expected = results_and_gradients(ours, x)
    with torch.device("meta"):
        y = ours(x)[0].data
        again = torch.autograd.grad(y.sum(), x.data)
    assert torch.equal(y, expected[0][0]) and again[0].device.type == "cpu"


@each_case
def test_layers_follow_others_under_autocast(case):
    ours, _ = case.pair()
    ours.float()
    x, before = torch.randn(T, B, I), torch.nn.Linear(I, I)
    with torch.autocast("cpu"):
        narrow = before(x)
        assert narrow.dtype == torch.bfloat16
        y, state = ours(narrow)
        assert y.dtype == torch.float32
        ours(narrow, state)
    assert torch.equal(y, ours(narrow.float())[0])


def swap_data(layer):
    for parameter in layer.parameters():
        parameter.data = -parameter.data


def write_numpy(layer):
    for parameter in layer.parameters():
        view = parameter.detach().numpy()
        view[:] = -view


def step_optimizer(layer):
    layer(double(T, B, 16))[0].sum().backward()
    torch.optim.SGD(layer.parameters(), lr=1.0).step()


@torch.no_grad()
def negate_in_place(layer):
    for parameter in layer.parameters():
        parameter.neg_()


CHANGES = {
    "data": lambda layer: [p.data.neg_() for p in layer.parameters()],
    "swapped data": swap_data,
    "numpy": write_numpy,
    "no_grad": negate_in_place,
    "optimizer": step_optimizer,
    "state": lambda layer: layer.load_state_dict({k: -v for k, v in layer.state_dict().items()}),
}


@each_case
@pytest.mark.parametrize("change", CHANGES)
def test_weights_changed_between_calls_are_seen(case, change):
    ours, theirs = case.pair(input_size=16, hidden_size=32)
    x = double(T, B, 16)
    results_and_gradients(ours, x.requires_grad_())
    before = ours(x)[0].detach()
    CHANGES[change](ours)
    theirs.load_state_dict(ours.state_dict())
    outputs, gradients = results_and_gradients(ours, x)
    expected, expected_gradients = results_and_gradients(theirs, x)
    assert worst_error(outputs[:1], [before]) > 1e-3
    assert worst_error(outputs + gradients, expected + expected_gradients) < 1e-10


@each_case
def test_weights_given_for_one_call_are_those_of_that_call(case):
    ours, theirs = case.pair(input_size=16, hidden_size=32)
    x, others = double(T, B, 16), {name: -p.detach() for name, p in ours.named_parameters()}
    for weights in ({}, others, {}):
        y = torch.func.functional_call(ours, weights, (x,))[0]
        expected = torch.func.functional_call(theirs, weights, (x,))[0]
        assert worst_error([y], [expected]) < 1e-12

"""Gradients by step and lag: against autograd over one copy of the weights per step."""

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, name_of
from test_return_all import ROWS, drawn

import throughtime as tt
from throughtime.bptt import Truncated
from throughtime.cells import HiddenState
from throughtime.errors import OptionError
from throughtime.instruments import weight_gradient, weight_shares

EXACT = {"rtol": 1e-10, "atol": 1e-11}
each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
each_kind_of_rows = pytest.mark.parametrize("rows", [ROWS["whole"], ROWS["both"]])
both = pytest.mark.parametrize("by", ["step", "lag"])


def losses(h):
    """L_t of each step, [T], not the same at every step."""
    return (torch.arange(1, len(h) + 1)[:, None, None] * h.square()).sum(dim=(1, 2))


def watched(layer, x, *state, **rows):
    layer.zero_grad()
    with tt.watch(layer) as tape:
        losses(layer(x, *state, **rows)[0]).sum().backward()
    return tape


def step_by_step(layer, x):
    """dL_t/d(weights at step k), [t][k][weight]: every step is a layer of its own."""
    copies, state, each = [], layer.initial_state(B).detach(), []
    for x_t in x:
        copies.append({n: p.detach().clone().requires_grad_() for n, p in layer.named_parameters()})
        y, state = torch.func.functional_call(layer, copies[-1], (x_t[None], state))
        each.append(losses(torch.cat([torch.zeros(len(copies) - 1, B, H).double(), y]))[-1])
    leaves = [leaf for weights in copies for leaf in weights.values()]
    found = [
        torch.autograd.grad(L, leaves, retain_graph=True, materialize_grads=True) for L in each
    ]
    num = len(copies[0])
    return [[g[k * num : (k + 1) * num] for k in range(len(x))] for g in found]


def acting(layer):
    """Place and name of the weights that act in a step, not before the first."""
    names = [name for name, _ in layer.named_parameters()]
    return [(w, name) for w, name in enumerate(names) if name[:3] not in ("h_0", "c_0")]


@each_case
def test_the_part_of_a_step_is_the_gradient_of_a_copy_that_acts_there(case):
    layer, x = case.make(num_layers=2).eval(), drawn(T, B, I)
    table, found = step_by_step(layer, x), weight_gradient(watched(layer, x), "step")
    for w, name in acting(layer):
        expected = [sum(table[t][k][w] for t in range(T)) for k in range(T)]
        np.testing.assert_allclose(found[name], torch.stack(expected), **EXACT)


@each_case
def test_the_part_of_a_lag_is_the_sum_of_all_pairs_that_far_apart(case):
    layer, x = case.make(num_layers=2).eval(), drawn(T, B, I)
    table, found = step_by_step(layer, x), weight_gradient(watched(layer, x), "lag")
    for w, name in acting(layer):
        expected = [sum(table[k + lag][k][w] for k in range(T - lag)) for lag in range(T)]
        np.testing.assert_allclose(found[name], torch.stack(expected), **EXACT)


@both
@each_kind_of_rows
@each_case
def test_the_parts_add_up_to_the_gradient(case, rows, by):
    options = {"num_layers": 2, "bidirectional": True, "dropout": 0.3}
    layer = case.make(**options).train(case.name != "own-cell")
    parts = weight_gradient(watched(layer, drawn(T, B, I), **rows), by)
    assert set(parts) == set(dict(layer.named_parameters()))
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(parts[name].sum(by), p.grad, **EXACT)


@both
@pytest.mark.parametrize("given", [False, True])
def test_a_learned_start_has_its_gradient_where_it_acts(by, given):
    layer, x = tt.LSTM(I, H, learn_initial=True).double(), drawn(T, B, I)
    state = [layer.initial_state(B).map(torch.randn_like)] if given else []
    parts = weight_gradient(watched(layer, x, *state), by)
    for name in ("h_0_l0", "c_0_l0"):
        expected = torch.zeros(H) if given else layer.get_parameter(name).grad
        np.testing.assert_allclose(parts[name].sum(by), expected, **EXACT)
        if by == "step":
            assert (parts[name][1:] == 0).all()


@pytest.mark.parametrize("k2", [1, 2, 4])
def test_a_window_of_k2_steps_sees_the_lags_below_k2(k2):
    layer, x = tt.GRU(I, H).double(), drawn(T, B, I)
    parts = weight_gradient(watched(layer, x), "lag")
    layer.zero_grad()
    Truncated(1, k2).backward(layer, x, lambda y, t: ((t.start + 1) * y.square()).sum())
    for name, p in layer.named_parameters():
        np.testing.assert_allclose(parts[name][:k2].sum("lag"), p.grad, **EXACT)


@both
def test_a_layer_of_torch_has_the_parts_of_its_twin(by):
    ours, theirs = CASES[2].pair(num_layers=2, bidirectional=True)
    x = drawn(T, B, I)
    found = [weight_gradient(watched(layer, x), by) for layer in (ours, theirs)]
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(*(parts[name] for parts in found), **EXACT)
        np.testing.assert_allclose(found[1][name].sum(by), p.grad, **EXACT)


class Scaled(tt.Cell):
    """A cell of one's own with one weight: h_t = x_t + w h_{t-1}."""

    def __init__(self, input_size):
        super().__init__(input_size)
        self.w = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def step(self, x, state):
        return HiddenState(x + self.w * state.h)


def test_a_linear_cell_has_the_parts_of_its_power_series():
    # x_t = 1: h_t = 1 + w + ... + w^t from t = 0, dh_t/dw by lag j: w^j h_{t-1-j}
    layer, w = tt.Layer(Scaled, I), 0.7
    with tt.watch(layer) as tape:
        layer(torch.ones(T, 1, I, dtype=torch.float64))[0].sum().backward()
    h = [(1 - w ** (t + 1)) / (1 - w) for t in range(T)]
    expected = [I * w**j * sum(h[t - 1 - j] for t in range(j + 1, T)) for j in range(T)]
    np.testing.assert_allclose(weight_gradient(tape, "lag")["layers.0.0.w"], expected, **EXACT)


def test_shares_add_up_to_one_and_tell_what_points_against_the_whole():
    parts = weight_gradient(watched(tt.LSTM(I, H).double(), drawn(T, B, I)), "lag")
    shares = weight_shares(parts)
    np.testing.assert_allclose(shares.sum("lag"), 1)
    whole = np.concatenate([parts[name].sum("lag").values.ravel() for name in parts])
    for lag in range(T):
        part = np.concatenate([parts[name].sel(lag=lag).values.ravel() for name in parts])
        np.testing.assert_allclose(
            shares.sel(weight="all", lag=lag), part @ whole / (whole @ whole)
        )


@both
def test_taking_apart_leaves_every_gradient(by):
    layer, x = tt.LSTM(I, H).double(), drawn(T, B, I).requires_grad_()
    tape = watched(layer, x)
    before = [p.grad.clone() for p in (x, *layer.parameters())]
    weight_gradient(tape, by)
    assert all(map(torch.equal, before, [p.grad for p in (x, *layer.parameters())]))


@both
def test_a_tape_that_has_not_what_it_takes_is_refused(by):
    layer = tt.RNN(I, H)
    with tt.watch(layer) as tape:
        y = layer(drawn(T, B, I).float())[0]
    with pytest.raises(OptionError, match="from a backward pass through the call"):
        weight_gradient(tape, by)
    y.sum().backward()
    megabytes = T * sum(p.numel() for p in layer.parameters()) * 4 / 2**30
    with pytest.raises(OptionError, match=r"5 of 0.000122 MB each take .* watch a shorter window"):
        weight_gradient(tape, by, memory_gb=0.9 * megabytes)
    assert weight_gradient(tape, by, memory_gb=1.1 * megabytes)


def test_a_loss_of_the_cell_state_is_refused_by_step():
    layer = tt.LSTM(I, H).double()
    with tt.watch(layer) as tape:
        layer(drawn(T, B, I))[1][1].sum().backward()
    with pytest.raises(OptionError, match="must add up to that of the backward pass, in layer 0"):
        weight_gradient(tape, "step")


def test_another_way_to_take_apart_is_refused():
    with pytest.raises(OptionError, match="by must be 'step' or 'lag', got 'unit'"):
        weight_gradient(None, by="unit")

"""Gradients by step and lag: against autograd over one copy of the weights per step."""

import pytest
import torch
from cases import CASES, B, H, I, T, own_layer

import throughtime as tt
from throughtime.bptt import Truncated
from throughtime.cells import HiddenState
from throughtime.errors import OptionError, ShapeError
from throughtime.instruments import by_lag, by_step

EXACT = {"rtol": 1e-10, "atol": 1e-12}
LAYERS = {
    **{case.name: lambda case=case: case.layer(I, H, 2, **case.options) for case in CASES},
    "one-layer": lambda: tt.GRU(I, H),
    "without-bias": lambda: tt.LSTM(I, H, 2, bias=False),
    "projection": lambda: tt.LSTM(I, 6, 2, proj_size=H),
    "own-cell": lambda: own_layer(I, H, num_layers=2).eval(),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
both = pytest.mark.parametrize("take_apart", [by_step, by_lag])


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def losses(h):
    """L_t of each step, [T], not the same at every step."""
    return (torch.arange(1, len(h) + 1)[:, None, None] * h.square()).sum(dim=(1, 2))


def layer_named(name):
    layer = LAYERS[name]().double()
    return layer, [cell for (cell,) in layer.cells()]


def step_by_step(layer, x):
    """dL_t/d(weights at step k), [t][k][weight]: every step is a layer of its own."""
    copies, state, each = [], None, []
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


def named(layer, parts):
    """The parts in the order of the layer's parameters."""
    name = "layers.{}.0.{}" if isinstance(layer, tt.Layer) else "{1}_l{0}"
    flat = {name.format(depth, n): p for depth, own in enumerate(parts) for n, p in own.items()}
    return [flat[name] for name, _ in layer.named_parameters()]


@every_layer
def test_the_part_of_a_step_is_the_gradient_of_a_copy_that_acts_there(name):
    (layer, cells), x = layer_named(name), draw(T, B, I)
    table, found = step_by_step(layer, x), named(layer, by_step(cells, x, losses))
    for w, parts in enumerate(found):
        expected = [sum(table[t][k][w] for t in range(T)) for k in range(T)]
        torch.testing.assert_close(parts, torch.stack(expected), **EXACT)


@every_layer
def test_the_part_of_a_lag_is_the_sum_of_all_pairs_that_far_apart(name):
    (layer, cells), x = layer_named(name), draw(T, B, I)
    table, found = step_by_step(layer, x), named(layer, by_lag(cells, x, losses))
    for w, parts in enumerate(found):
        expected = [sum(table[k + lag][k][w] for k in range(T - lag)) for lag in range(T)]
        torch.testing.assert_close(parts, torch.stack(expected), **EXACT)


@both
@every_layer
def test_the_parts_add_up_to_the_gradient(name, take_apart):
    (layer, cells), x = layer_named(name), draw(T, B, I)
    losses(layer(x)[0]).sum().backward()
    for parts, p in zip(
        named(layer, take_apart(cells, x, losses)), layer.parameters(), strict=True
    ):
        torch.testing.assert_close(parts.sum(dim=0), p.grad, **EXACT)


@pytest.mark.parametrize("k2", [1, 2, 4])
def test_a_window_of_k2_steps_sees_the_lags_below_k2(k2):
    (layer, cells), x = layer_named("one-layer"), draw(T, B, I)
    Truncated(1, k2).backward(layer, x, lambda y, t: ((t.start + 1) * y.square()).sum())
    for parts, p in zip(named(layer, by_lag(cells, x, losses)), layer.parameters(), strict=True):
        torch.testing.assert_close(parts[:k2].sum(dim=0), p.grad, **EXACT)


@both
def test_first_states_are_where_the_unroll_begins(take_apart):
    (layer, cells), x, h = layer_named("one-layer"), draw(T, B, I), draw(1, B, H)
    losses(layer(x, h)[0]).sum().backward()
    parts = take_apart(cells, x, losses, [HiddenState(h[0])])
    torch.testing.assert_close(parts[0]["weight_hh"].sum(dim=0), layer.weight_hh_l0.grad, **EXACT)


@both
def test_watching_leaves_no_gradient(take_apart):
    (layer, cells), x = layer_named("lstm"), draw(T, B, I).requires_grad_()
    with torch.no_grad():
        parts = take_apart(cells, x, losses)
    assert x.grad is None and all(p.grad is None for p in layer.parameters())
    assert not any(part.requires_grad for part in named(layer, parts))


class Bare:
    """A cell without weights: h_t = x_t + h_{t-1} / 2."""

    gates = ("hidden",)

    def project(self, x):
        return x

    def step(self, z, state):
        return HiddenState(z + state.h / 2)

    def initial_state(self, batch):
        return HiddenState(torch.zeros(batch, I, dtype=torch.float64))


class Scaled(Bare):
    """A cell of one's own with a weight: h_t = x_t + w h_{t-1}."""

    def __init__(self, w):
        self.w = torch.tensor(w, dtype=torch.float64)

    def step(self, z, state):
        return HiddenState(z + self.w * state.h)


def test_a_linear_cell_has_the_parts_of_its_power_series():
    # x_t = 1: h_t = 1 + w + ... + w^t from t = 0, dh_t/dw by lag j: w^j h_{t-1-j}
    w, x = 0.7, torch.ones(T, 1, I, dtype=torch.float64)
    (parts,) = by_lag([Scaled(w)], x, lambda h: h.sum(dim=(1, 2)))
    h = [(1 - w ** (t + 1)) / (1 - w) for t in range(T)]
    expected = [I * w**j * sum(h[t - 1 - j] for t in range(j + 1, T)) for j in range(T)]
    torch.testing.assert_close(parts["w"], torch.tensor(expected, dtype=x.dtype), **EXACT)


@both
def test_a_cell_without_weights_is_refused(take_apart):
    with pytest.raises(OptionError, match="must hold its weights as attributes, got Bare"):
        take_apart([Bare()], draw(T, B, I), losses)


@both
def test_wrong_inputs_and_losses_are_refused(take_apart):
    cells = layer_named("one-layer")[1]
    for x in (draw(B, I), draw(0, B, I)):
        with pytest.raises(ShapeError, match=r"x must be \[T, B, I\] with at least one step"):
            take_apart(cells, x, losses)
    with pytest.raises(ShapeError, match=r"losses must give \[T=5\].*got \[\]"):
        take_apart(cells, draw(T, B, I), lambda h: h.sum())

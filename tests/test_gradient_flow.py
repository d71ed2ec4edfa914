"""The norm of every step's gradient and its two parts, against algebra and autograd."""

import numpy as np
import pytest
import torch
from cases import B, H, I, T, own_layer
from test_return_all import drawn
from test_tape import expected_gradients

import throughtime as tt
from throughtime.errors import DataError, OptionError
from throughtime.instruments import gradient_flow

EXACT = {"rtol": 1e-10, "atol": 1e-12}
LAYERS = {
    "rnn": tt.RNN,
    "gru": tt.GRU,
    "lstm": tt.LSTM,
    "own-cell": lambda *sizes, **options: own_layer(*sizes, **options).eval(),
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def watched(layer, x, loss, **rows):
    with tt.watch(layer) as tape:
        loss(layer(x, **rows)[0]).backward()
    return tape


def test_without_saturation_the_gradient_is_a_power_of_the_recurrent_matrix():
    layer, g = tt.RNN(I, H, nonlinearity="identity").double(), drawn(H)
    flow = gradient_flow(watched(layer, drawn(T, B, I), lambda y: (y[-1] @ g).sum()))
    W = layer.weight_hh_l0.detach()
    for lag in range(T):
        expected = (g @ torch.linalg.matrix_power(W, lag)).norm()
        np.testing.assert_allclose(flow["h"][0, 0, T - 1 - lag], expected.expand(B), **EXACT)


def test_a_tanh_cell_follows_the_product_of_pascanu():
    layer, g = tt.RNN(I, H).double(), drawn(H)
    x = drawn(T, B, I)
    flow = gradient_flow(watched(layer, x, lambda y: (y[-1] @ g).sum()))
    hidden, gradient = layer(x)[0].detach(), g.expand(B, H)
    for t in reversed(range(T)):
        np.testing.assert_allclose(flow["h"][0, 0, t], gradient.norm(dim=-1), **EXACT)
        gradient = (gradient * (1 - hidden[t] ** 2)) @ layer.weight_hh_l0.detach()


@each_layer
def test_the_norms_are_those_of_the_definition(make):
    layer = make(I, H, num_layers=2, bidirectional=True).double()
    rows, weights = {"lengths": [T, 2, 0]}, drawn(T, B, 2 * H)
    states = layer.initial_state(B).map(lambda f: f.requires_grad_())
    x = drawn(T, B, I).requires_grad_()
    flow = gradient_flow(watched(layer, x, lambda y: (y * weights).sum(), **rows))
    expected = expected_gradients(layer.cells(), x, states, rows, weights)
    is_there = torch.arange(T)[:, None] < torch.tensor(rows["lengths"])
    for index, parts in enumerate(expected):
        through = parts["h"] - parts["dy"]
        wanted = {"h": parts["h"], "direct": parts["dy"], "through_time": through}
        wanted |= {field: parts[field] for field in states[0]._fields if field != "h"}
        assert list(flow) == list(wanted)
        for name, gradient in wanted.items():
            norm = gradient.norm(dim=-1).masked_fill(~is_there[..., None], torch.nan)
            np.testing.assert_allclose(flow[name][index], norm.movedim(2, 0), **EXACT)


@each_layer
def test_the_direct_part_is_that_of_the_losses_and_the_rest_came_through_time(make):
    layer, g = make(I, H).double(), drawn(H)
    flow = gradient_flow(watched(layer, drawn(T, B, I), lambda y: (y[3] @ g).sum()))
    direct, through, total = (flow[n][0, 0] for n in ("direct", "through_time", "h"))
    np.testing.assert_allclose(direct[3], g.norm().expand(B), **EXACT)
    assert (direct.drop_sel(time=3) == 0).all() and (through[3:] == 0).all()
    np.testing.assert_array_equal(through[:3], total[:3])


def test_a_loss_of_the_final_state_is_direct_at_the_last_step_of_each_row():
    layer = tt.LSTM(I, H).double()
    with tt.watch(layer) as tape:
        layer(drawn(T, B, I), lengths=[T, 2, 1])[1][0].sum().backward()
    flow = gradient_flow(tape)
    direct = flow["direct"][0, 0].fillna(0)
    assert [np.flatnonzero(row).tolist() for row in direct.values.T] == [[4], [1], [0]]
    assert (flow["through_time"][0, 0, 4, 0], flow["through_time"][0, 0, 1, 1]) == (0, 0)


def test_a_layer_of_torch_has_the_flow_of_its_twin():
    theirs = torch.nn.LSTM(I, H, 2).double()
    ours, x = tt.convert(torch.nn.Sequential(theirs))[0], drawn(T, B, I)
    found = [gradient_flow(watched(m, x, lambda y: y.square().sum())) for m in (ours, theirs)]
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], **EXACT)


def test_a_tape_without_gradients_is_refused():
    layer = tt.RNN(I, H)
    with tt.watch(layer) as tape, torch.no_grad():
        layer(drawn(T, B, I).float())
    with pytest.raises(OptionError, match="gradients must come from a backward pass"):
        gradient_flow(tape)
    with pytest.raises(OptionError, match="name must be one of '', got 'encoder'"):
        gradient_flow(tape, "encoder")


def test_a_gradient_that_is_not_finite_is_named():
    tape = watched(tt.GRU(I, H), drawn(T, B, I).float(), lambda y: (y[2, 1] / 0).sum())
    with pytest.raises(DataError, match="finite, got one that is not in layer 0 at step 2, row 1"):
        gradient_flow(tape)

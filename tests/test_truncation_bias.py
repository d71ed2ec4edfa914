"""What a window costs: against closed forms, and without a trace in `.grad`."""

import math

import pytest
import torch
from cases import B, H, I
from unrolls import UNROLLS, unroll_named

from throughtime.bptt import Checkpointed, Full, Truncated, truncation_bias
from throughtime.errors import OptionError

T = 12


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def squares(outputs, steps):
    return outputs.square().sum()


class Linear(torch.nn.Module):
    """Units that do not meet: h_t = w h_{t-1} + x_t, [B, H]."""

    def __init__(self, w):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x, h=None):
        h, outputs = torch.zeros_like(x[0]) if h is None else h, []
        for x_t in x:
            h = self.w * h + x_t
            outputs.append(h)
        return torch.stack(outputs), h


def power_sums(w, k2):
    """dL/dw for x_t = 1, L = sum_t h_t, k1 = 1: sum_t sum_{j < k2} w^j h_{t-1-j}, B = 1."""
    h = [(1 - w**t) / (1 - w) for t in range(T + 1)]
    return sum(w**j * h[t - 1 - j] for t in range(1, T + 1) for j in range(min(k2, t)))


@pytest.mark.parametrize("name", UNROLLS)
@pytest.mark.parametrize("bptt", [Truncated(T), Truncated(T, 2 * T), Checkpointed(2)], ids=str)
def test_a_window_as_long_as_the_sequence_costs_nothing(bptt, name):
    bias = truncation_bias(bptt, unroll_named(name), draw(T, B, I), squares)
    for cosine, ratio in (bias.whole, *bias.parameters.values()):
        assert cosine == pytest.approx(1, abs=1e-12) and ratio == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("k2", [1, 2, 5])
@pytest.mark.parametrize("exact", [Full(), Checkpointed(segments=2)], ids=str)
def test_a_linear_network_has_the_bias_of_its_power_series(k2, exact):
    ws, x = [0.8, -0.6], torch.ones(T, 1, 2, dtype=torch.float64)
    bias = truncation_bias(
        Truncated(1, k2), Linear(ws), x, lambda y, steps: y.sum(), exact=exact
    ).whole
    found, full = ([power_sums(w, k) for w in ws] for k in (k2, T))
    dot = sum(g * f for g, f in zip(found, full, strict=True))
    assert bias.cosine == pytest.approx(dot / math.hypot(*found) / math.hypot(*full), rel=1e-12)
    assert bias.norm_ratio == pytest.approx(math.hypot(*found) / math.hypot(*full), rel=1e-12)


def test_a_window_that_points_the_wrong_way_has_a_negative_cosine():
    # h_1 = 1, h_2 = 1 + w, h_3 = w h_2:
    # dh_3/dw = h_2 + w h_1 = 1 + 2 w, of which one step sees h_2 = 1 + w.
    x = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64).reshape(3, 1, 1)
    bias = truncation_bias(
        Truncated(1), Linear([-0.7]), x, lambda y, steps: y[-1].sum() * (steps.stop == 3)
    )
    assert bias.whole.cosine == -1
    assert bias.parameters["w"].norm_ratio == pytest.approx((1 - 0.7) / (2 * 0.7 - 1), rel=1e-12)


def test_every_parameter_is_judged_by_itself():
    module, x = unroll_named("torch-gru"), draw(T, B, I)
    bias, gradients = truncation_bias(Truncated(3), module, x, squares), []
    for bptt in (Truncated(3), Full()):
        module.zero_grad()
        bptt.backward(module, x, squares)
        gradients.append({name: p.grad.flatten() for name, p in module.named_parameters()})
    assert bias.parameters.keys() == gradients[0].keys()
    for name, (g, f) in {n: (gradients[0][n], gradients[1][n]) for n in gradients[0]}.items():
        cosine = torch.cosine_similarity(g, f, dim=0).item()
        assert bias.parameters[name] == pytest.approx((cosine, (g.norm() / f.norm()).item()))


def test_no_gradient_is_left_or_lost():
    module, readout = unroll_named("lstm"), torch.nn.Linear(H, 1).double()
    x, h = draw(T, B, I).requires_grad_(), draw(1, B, H).requires_grad_()
    module.weight_hh_l0.grad = kept = draw(4 * H, H)
    before = kept.clone()
    truncation_bias(Truncated(3), module, x, lambda y, steps: readout(y).sum(), (h, h))
    assert module.weight_hh_l0.grad is kept and torch.equal(kept, before)
    others = [module.weight_ih_l0, *readout.parameters(), x, h]
    assert all(tensor.grad is None for tensor in others)


def test_gradients_come_back_after_an_error():
    module = unroll_named("lstm")
    module.weight_hh_l0.grad = kept = draw(4 * H, H)
    with pytest.raises(ZeroDivisionError):
        truncation_bias(Truncated(3), module, draw(T, B, I), lambda y, steps: 1 / 0)
    assert module.weight_hh_l0.grad is kept


def test_a_first_state_is_where_both_gradients_begin():
    module, h = Linear([0.5]), torch.full((1, 1), 4.0, dtype=torch.float64)
    x = torch.zeros(2, 1, 1, dtype=torch.float64)
    bias = truncation_bias(Truncated(1), module, x, lambda y, steps: y.sum(), h)
    # h_1 = 4 w, h_2 = 4 w^2: the whole 4 + 8 w = 8, of which the window's edge hides 4 w
    assert bias.whole == (1, pytest.approx((4 + 4 * 0.5) / (4 + 8 * 0.5), rel=1e-12))


def test_what_no_loss_depends_on_has_no_direction():
    unused = {"unused": torch.zeros(2, requires_grad=True)}
    bias = truncation_bias(Truncated(3), unroll_named("gru"), draw(T, B, I), squares, None, unused)
    assert all(math.isnan(number) for number in bias.whole)


def test_an_unroll_without_parameters_is_refused():
    def unroll(x, state):
        return x, state

    with pytest.raises(OptionError, match="must name what to differentiate by, got none from func"):
        truncation_bias(Truncated(3), unroll, draw(T, B, I), squares)

"""Each initialisation has the property that its paper claims."""

import pytest
import torch
from cases import CASES, SINGLE_CASES, B, H, I, T, name_of
from torch import nn

import throughtime as tt
from throughtime.errors import OptionError

GATED = [case for case in CASES if case.name in ("lstm", "gru")]
DRAWS = [
    lambda layer, generator: tt.init.default_(layer, generator),
    lambda layer, generator: tt.init.orthogonal_(layer, generator),
    lambda layer, generator: tt.init.chrono_(layer, 50, generator),
]


def a_layer(case, **options):
    return case.pair(**options)[0]


def both_directions(case):
    return a_layer(case, num_layers=2, bidirectional=True)


def blocks(layer):
    """Every gate's recurrent matrix, of all layers and directions."""
    found = [p for name, p in layer.named_parameters() if name.startswith("weight_hh")]
    return [block for weight in found for block in weight.split(H)]


def bias(layer, place, suffix="_l0"):
    """The bias that acts in one gate, the sum of its two parts."""
    total = getattr(layer, f"bias_ih{suffix}") + getattr(layer, f"bias_hh{suffix}")
    return total.split(layer.hidden_size)[place].detach()


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_default_draws_what_a_new_layer_of_torch_draws(case):
    options = {"num_layers": 2, "bidirectional": True, "dtype": torch.float64}
    torch.manual_seed(5)
    expected = case.torch_layer(I, H, **options, **case.options).state_dict()
    torch.manual_seed(5)
    found = tt.init.default_(both_directions_after_seed(case)).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def both_directions_after_seed(case):
    """A layer made without moving the global generator."""
    with torch.random.fork_rng():
        return both_directions(case)


@pytest.mark.parametrize("case", [*CASES, *SINGLE_CASES], ids=lambda case: case.layer.__name__)
def test_every_recurrent_block_is_orthogonal(case):
    layer = tt.init.orthogonal_(a_layer(case) if case in SINGLE_CASES else both_directions(case))
    for block in blocks(layer):
        one = torch.eye(H, dtype=torch.float64)
        torch.testing.assert_close(block @ block.T, one, rtol=0, atol=1e-12)


def test_the_blocks_of_a_projection_have_orthonormal_columns():
    layer = tt.init.orthogonal_(tt.LSTM(I, H, proj_size=3, dtype=torch.float64))
    for block in blocks(layer):
        one = torch.eye(3, dtype=torch.float64)
        torch.testing.assert_close(block.T @ block, one, rtol=0, atol=1e-12)


def test_only_the_recurrent_weights_become_orthogonal():
    layer = tt.GRU(I, H)
    before = {name: p.clone() for name, p in layer.named_parameters() if "weight_hh" not in name}
    tt.init.orthogonal_(layer)
    assert all(torch.equal(getattr(layer, name), value) for name, value in before.items())


def test_an_irnn_without_input_keeps_its_state_and_lets_the_gradient_through():
    layer = tt.init.identity_(tt.RNN(I, H, nonlinearity="relu", dtype=torch.float64))
    start = torch.rand(1, B, H, dtype=torch.float64, requires_grad=True)
    end = layer(torch.zeros(T, B, I, dtype=torch.float64), start)[1]
    assert torch.equal(end, start)
    assert torch.autograd.grad(end.sum(), start)[0].eq(1).all()


def test_the_input_weights_of_an_irnn_are_normal_with_a_thousandth():
    weight = tt.init.identity_(tt.RNN(100, 100)).weight_ih_l0
    assert weight.std().item() == pytest.approx(0.001, rel=0.05)  # 7 of its standard errors
    assert abs(weight.mean().item()) < 5e-5


@pytest.mark.parametrize("value", [1.0, 2.5])
def test_the_forget_bias_is_the_value_and_no_other_bias_moves(value):
    layer = tt.LSTM(I, H, num_layers=2)
    others = {place: bias(layer, place, "_l1") for place in (0, 2, 3)}
    tt.init.forget_bias_(layer, value)
    assert bias(layer, 1, "_l1").eq(value).all() and bias(layer, 1).eq(value).all()
    assert all(torch.equal(bias(layer, place, "_l1"), others[place]) for place in others)


@pytest.mark.parametrize(("kind", "gate"), [(tt.LSTM, 1), (tt.GRU, 1)])
def test_chrono_memories_last_from_two_steps_to_the_longest_evenly_spread(kind, gate):
    layer = tt.init.chrono_(kind(I, 4000, dtype=torch.float64), longest=100)
    steps = 1 / (1 - bias(layer, gate).sigmoid())
    assert steps.min() >= 2 - 1e-9 and steps.max() <= 100 + 1e-9
    quarters = torch.histc(steps, bins=4, min=2, max=100) / 4000
    assert (quarters - 0.25).abs().max() < 0.035  # five standard errors


def test_chrono_closes_the_input_gate_as_far_as_the_forget_gate_is_open():
    layer = tt.init.chrono_(tt.LSTM(I, H, num_layers=2, bidirectional=True), longest=784)
    for suffix in ("_l0", "_l1_reverse"):
        assert torch.equal(bias(layer, 0, suffix), -bias(layer, 1, suffix))


def test_a_unit_of_a_chrono_lstm_forgets_as_slowly_as_its_bias_says():
    layer = tt.init.chrono_(tt.LSTM(1, 1, dtype=torch.float64), longest=50)
    with torch.no_grad():
        layer.weight_ih_l0.zero_(), layer.weight_hh_l0.zero_(), layer.bias_ih_l0[2].zero_()
        layer.bias_hh_l0[2].zero_()
    start = torch.zeros(1, 1, 1).double(), torch.ones(1, 1, 1).double()
    c = layer(torch.zeros(T, 1, 1).double(), start)[1][1]
    torch.testing.assert_close(c.flatten(), bias(layer, 1).sigmoid() ** T)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("case", [*GATED, *SINGLE_CASES[2:]], ids=lambda case: case.layer.__name__)
def test_a_generator_gives_the_same_weights_and_leaves_the_global_one(case, draw):
    first, second = a_layer(case), a_layer(case, seed=1)
    before = torch.get_rng_state()
    second.load_state_dict(first.state_dict())
    for layer in (first, second):
        draw(layer, torch.Generator().manual_seed(3))
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tt.init.orthogonal_(nn.LSTM(I, H)), "RNN, LSTM, GRU, got LSTM; tt.convert"),
        (lambda: tt.init.default_(nn.Linear(I, H)), "RNN, LSTM, GRU, got Linear"),
        (lambda: tt.init.identity_(tt.GRU(I, H)), "of the kind RNN, got GRU"),
        (lambda: tt.init.forget_bias_(tt.GRU(I, H)), "of the kind LSTM, got GRU"),
        (lambda: tt.init.chrono_(tt.RNN(I, H), 9), "of the kind LSTM, GRU, got RNN"),
        (lambda: tt.init.chrono_(tt.LSTM(I, H), 1), "longest must be at least 2 steps, got 1"),
        (lambda: tt.init.forget_bias_(tt.LSTM(I, H, bias=False)), "got bias=False"),
        (lambda: tt.init.orthogonal_(parametrized()), "before it is parametrized"),
    ],
)
def test_what_a_layer_cannot_have_is_refused_by_name(call, message):
    with pytest.raises(OptionError, match=message):
        call()


def parametrized():
    return nn.utils.parametrizations.weight_norm(tt.LSTM(I, H), "weight_hh_l0")

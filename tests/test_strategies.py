"""What holds for every strategy: one way of calling, and one for any unroll."""

import pytest
import torch
from cases import B, H, I
from unrolls import UNROLLS, unroll_named

from throughtime.bptt import Carry, Checkpointed, Full, Truncated
from throughtime.errors import OptionError

T = 200
STRATEGIES = [Full(), Truncated(T), Truncated(80, 110), Checkpointed(segments=3), Checkpointed()]
EXACT = [Full(), Truncated(T), Truncated(T, 2 * T), Checkpointed(segments=3), Checkpointed()]

every_strategy = pytest.mark.parametrize("bptt", STRATEGIES, ids=str)
exact_strategies = pytest.mark.parametrize("bptt", EXACT, ids=str)
every_unroll = pytest.mark.parametrize("name", UNROLLS)


def sequence():
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    return x, torch.randn(T, B, H, dtype=torch.float64)


def gradients(module, x):
    found = [x.grad.clone(), *(parameter.grad.clone() for parameter in module.parameters())]
    module.zero_grad()
    x.grad = None
    return found


def by_hand(module, x, weights):
    """One unroll and autograd: the loss, its gradients."""
    loss = (module(x)[0] * weights).sum()
    loss.backward()
    return loss.detach(), gradients(module, x)


@every_unroll
@exact_strategies
def test_backward_gives_the_gradient_of_one_unroll(bptt, name):
    module, (x, weights) = unroll_named(name), sequence()
    expected = by_hand(module, x, weights)
    loss, _ = bptt.backward(module, x, lambda y, steps: (y * weights[steps]).sum())
    torch.testing.assert_close((loss, gradients(module, x)), expected, rtol=1e-11, atol=1e-12)


@every_unroll
@exact_strategies
def test_a_loop_over_windows_gives_the_gradient_of_one_unroll(bptt, name):
    module, (x, weights) = unroll_named(name), sequence()
    _, expected = by_hand(module, x, weights)
    carry = None
    for window, weight in zip(bptt.windows(x), bptt.windows(weights), strict=True):
        y, carry = bptt.advance(module, window, carry)
        (y * weight).sum().backward()
    torch.testing.assert_close(gradients(module, x), expected, rtol=1e-11, atol=1e-12)


@every_unroll
@every_strategy
def test_backward_adds_the_gradients_of_its_windows(bptt, name):
    module, (x, weights) = unroll_named(name), sequence()
    carry = None
    for window, weight in zip(bptt.windows(x), bptt.windows(weights), strict=True):
        y, carry = bptt.advance(module, window, carry)
        (y * weight).sum().backward()
    expected = gradients(module, x)
    bptt.backward(module, x, lambda y, steps: (y * weights[steps]).sum())
    torch.testing.assert_close(gradients(module, x), expected, rtol=1e-11, atol=1e-12)


@every_strategy
def test_a_sequence_goes_on_where_the_carry_left_it(bptt):
    module, (x, _) = unroll_named("lstm"), sequence()
    y, _ = module(x)
    _, carry = bptt.backward(module, x[:80].detach(), lambda y, steps: y.sum())
    assert not any(part.requires_grad for part in carry.state)
    parts = []
    for window in bptt.windows(x[80:]):
        part, carry = bptt.advance(module, window, carry)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts), y[80:], rtol=1e-12, atol=1e-13)


@every_strategy
def test_the_first_state_gets_its_gradient(bptt):
    module, (x, weights) = unroll_named("gru"), sequence()
    h = torch.randn(1, B, H, dtype=torch.float64, requires_grad=True)
    window = slice(0, getattr(bptt, "k1", T))
    (expected,) = torch.autograd.grad((module(x[window], h)[0] * weights[window]).sum(), h)
    bptt.backward(module, x.detach()[window], lambda y, steps: (y * weights[steps]).sum(), Carry(h))
    torch.testing.assert_close(h.grad, expected, rtol=1e-11, atol=1e-12)


@every_strategy
def test_the_gradient_of_inputs_is_added_to_what_they_have_or_handed_on(bptt):
    module, (x, weights) = unroll_named("rnn-tanh"), sequence()

    def loss(y, steps):
        return (y * weights[steps]).sum()

    bptt.backward(module, x, loss)
    once, buffer = x.grad.clone(), x.grad.data_ptr()
    bptt.backward(module, x, loss)
    assert torch.equal(x.grad, 2 * once) and x.grad.data_ptr() == buffer
    bptt.backward(module, 3 * x, loss)
    assert (x.grad - 2 * once).abs().max() > 0


@pytest.mark.parametrize("bptt", [Full(), Truncated(3), Truncated(1, 3), Checkpointed()], ids=str)
def test_the_gradient_of_a_power_is_0108_and_not_0288(bptt):
    # h_t = w h_{t-1}, h_0 = 0.9, w = 0.2: dh_3/dw = 3 w^2 h_0
    w = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)

    def power(x, h):
        outputs = []
        for _ in x:
            h = w * h
            outputs.append(h)
        return torch.stack(outputs), h

    carry = Carry(torch.tensor(0.9, dtype=torch.float64))
    for window in bptt.windows(torch.zeros(3)):
        outputs, carry = bptt.advance(power, window, carry)
    outputs[-1].backward()
    assert w.grad.item() == pytest.approx(0.108, rel=1e-12)


@pytest.mark.parametrize("bptt", [Truncated(T), Checkpointed()], ids=str)
def test_what_cannot_be_cut_in_time_is_refused(bptt):
    x = torch.ones(5, 3, 2)
    inside = torch.nn.ModuleList([torch.nn.GRU(2, 4, bidirectional=True)])
    with pytest.raises(OptionError, match=r"got a bidirectional layer.*use Full\(\)"):
        bptt.advance(inside, x)
    with pytest.raises(OptionError, match="batch_first=True"):
        bptt.advance(torch.nn.GRU(2, 4, batch_first=True), x)


@pytest.mark.parametrize("bptt", [Full(), Truncated(5), Checkpointed()], ids=str)
def test_no_steps_are_refused_by_the_layer(bptt):
    with pytest.raises(RuntimeError):
        bptt.backward(torch.nn.GRU(2, 4), torch.ones(0, 3, 2), lambda y, steps: y.sum())

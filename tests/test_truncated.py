from typing import NamedTuple
from weakref import WeakSet, ref

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from throughtime.bptt import Truncated
from throughtime.errors import OptionError

T, B, I, H = 12, 3, 2, 4


class Pair(NamedTuple):
    h: torch.Tensor
    c: torch.Tensor


def layer(kind=torch.nn.LSTM):
    return kind(I, H, num_layers=2).double()


def sequence():
    return torch.randn(T, B, I, dtype=torch.float64), torch.randn(T, B, H, dtype=torch.float64)


def gradients(module):
    return [parameter.grad.clone() for parameter in module.parameters()]


def window_gradients(bptt, module, x, weights):
    """The gradient of every window, weights unchanged between them."""
    carry, found = None, []
    for inputs, weight in zip(x.split(bptt.k1), weights.split(bptt.k1), strict=True):
        outputs, carry = bptt.advance(module, inputs, carry)
        module.zero_grad()
        (outputs * weight).sum().backward()
        found.append(gradients(module))
    return found


def naive_gradients(k1, k2, module, x, weights):
    """By hand: state before the k2 steps as a constant, loss of the last k1 of them."""
    found = []
    for end in range(k1, T + 1, k1):
        start = max(0, end - k2)
        state = None
        if start:
            with torch.no_grad():
                state = module(x[:start])[1]
        outputs = module(x[start:end], state)[0][-k1:]
        module.zero_grad()
        (outputs * weights[end - k1 : end]).sum().backward()
        found.append(gradients(module))
    return found


def assert_all_close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
@pytest.mark.parametrize("bptt", [Truncated(T), Truncated(T, 2 * T)])
def test_a_window_as_long_as_the_sequence_gives_the_full_gradient(kind, bptt):
    module, (x, weights) = layer(kind), sequence()
    (module(x)[0] * weights).sum().backward()
    expected = gradients(module)
    assert_all_close(window_gradients(bptt, module, x, weights)[0], expected)


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 4), (2, 5), (3, 3), (3, 7), (4, 12), (6, 12)])
def test_every_window_has_the_gradient_written_out_by_hand(k1, k2):
    module, (x, weights) = layer(), sequence()
    found = window_gradients(Truncated(k1, k2), module, x, weights)
    for ours, theirs in zip(found, naive_gradients(k1, k2, module, x, weights), strict=True):
        assert_all_close(ours, theirs)


@pytest.mark.parametrize(("k1", "k2"), [(3, 3), (3, 7), (2, 4)])
def test_outputs_are_those_of_one_unroll(k1, k2):
    module, (x, _) = layer(), sequence()
    bptt, carry, outputs = Truncated(k1, k2), None, []
    for inputs in x.split(k1):
        output, carry = bptt.advance(module, inputs, carry)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs), module(x)[0], rtol=1e-12, atol=1e-13)


def test_no_gradient_crosses_the_edge_of_a_window():
    module, (x, _) = layer(), sequence()
    x.requires_grad_()
    bptt = Truncated(2, 4)
    carry = bptt.advance(module, x[0:4][:2], None)[1]
    carry = bptt.advance(module, x[2:4], carry)[1]
    bptt.advance(module, x[4:6], carry)[0].sum().backward()
    assert not x.grad[:4].any() and x.grad[4:6].all()
    assert not any(part.requires_grad for part in (*carry.state, carry.inputs))


def test_the_gradient_of_a_power_counts_only_the_steps_in_reach():
    # h_t = w h_{t-1} from h_0 = 0.9: the window holds three steps, so h_3 = w^3 h_0 there and
    # dh_3/dw = 3 w^2 h_0, even though h_0 itself came out of a step with w.
    w = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)

    def power(x, h):
        outputs = []
        for _ in x:
            h = w * (torch.tensor(4.5, dtype=torch.float64) if h is None else h)
            outputs.append(h)
        return torch.stack(outputs), h

    bptt = Truncated(1, 3)
    outputs, carry = bptt.advance(power, torch.zeros(1), None)  # h_0 = 0.2 * 4.5 = 0.9
    for _ in range(3):
        outputs, carry = bptt.advance(power, torch.zeros(1), carry)
    outputs[-1].backward()
    assert outputs.item() == pytest.approx(0.9 * 0.2**3, rel=1e-12)
    assert w.grad.item() == pytest.approx(3 * 0.2**2 * 0.9, rel=1e-12)


def test_a_named_state_keeps_its_type_and_at_most_the_repeated_inputs_are_kept():
    def unroll(x, state):
        state = state or Pair(x[0], x[0])
        return x, Pair(state.h + len(x), state.c)

    bptt, carry = Truncated(2, 5), None
    for inputs in torch.zeros(10, B, requires_grad=True).split(2):
        _, carry = bptt.advance(unroll, inputs, carry)
    assert isinstance(carry.state, Pair) and carry.inputs.shape == (3, B)
    assert carry.state.h[0] == 7


@pytest.mark.parametrize(("k1", "k2", "message"), [(0, None, "k1 .* got 0"), (5, 4, "k2 .* got 4")])
def test_windows_that_make_no_sense_are_refused(k1, k2, message):
    with pytest.raises(OptionError, match=message):
        Truncated(k1, k2)


def test_too_many_new_steps_are_refused():
    with pytest.raises(OptionError, match="at most k1 = 2 new steps, got 3"):
        Truncated(2).advance(layer(), torch.zeros(3, B, I))


def test_a_state_that_is_no_tensor_is_refused():
    with pytest.raises(OptionError, match="got str"):
        Truncated(2).advance(lambda x, state: (x, "state"), torch.zeros(2))


class Kept:
    """A tensor that a graph keeps, seen for as long as it does."""

    def __init__(self, tensor):
        self.tensor = tensor


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (3, 3), (2, 5), (4, 12)])
def test_at_most_k2_steps_are_ever_kept(k1, k2):
    alive, counts, weight = WeakSet(), [], torch.ones(H, requires_grad=True)

    def keep(tensor):
        kept = Kept(tensor)
        alive.add(kept)
        counts.append(len(alive))
        return kept

    def unroll(x, h):
        outputs = []
        for x_t in x:
            h = torch.tanh(x_t + (0 if h is None else h) + weight)  # keeps one tensor, itself
            outputs.append(h)
        return torch.stack(outputs), h

    bptt, carry = Truncated(k1, k2), None
    with saved_tensors_hooks(keep, lambda kept: kept.tensor):
        for inputs in (torch.randn(k1, B, H) for _ in range(20)):  # as if read from a file
            outputs, carry = bptt.advance(unroll, inputs, carry)
            outputs.sum().backward()
    assert max(counts) == k2


def test_windows_that_were_read_are_let_go():
    bptt, carry, module, seen = Truncated(2, 5), None, torch.nn.RNN(I, H), []
    for _ in range(8):
        inputs = torch.randn(2, B, I)
        seen.append(ref(inputs))
        carry = bptt.advance(module, inputs, carry)[1]
    del inputs
    assert not any(window() is not None for window in seen)

"""Several backward passes of a kernel add up to the bits of one."""

import pytest
import torch
from cases import CASES, OPTIONS, flat, name_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.parametrizations import weight_norm

from throughtime.native import gradient_steps, gradients_in_one_sum


def is_compiled(case):
    """Whether the kernels run it: others are summed by autograd."""
    others = ("own-cell", "rnn-sin", "gru-everything")
    return case.name not in others


def pieces_from_the_end(layer, x, weights, cut):
    """Adds the gradients of the steps from `cut` on, then of those before it."""
    with torch.no_grad():
        before = [part.requires_grad_() for part in flat(layer(x[:cut])[1])]
    y, _ = layer(x[cut:], before[0] if len(before) == 1 else tuple(before))
    (y * weights[cut:]).sum().backward()
    y, state = layer(x[:cut])
    pairs = zip(flat(state), before, strict=True)
    ((y * weights[:cut]).sum() + sum((t * leaf.grad).sum() for t, leaf in pairs)).backward()


def gradients(layer):
    return [parameter.grad.clone() for parameter in layer.parameters()]


def whole_and_pieces(case, T, B, H, blocks, dtype=torch.float64, **options):
    layer = case.make(hidden_size=H, dtype=dtype, **options).eval()
    x, weights = torch.randn(T, B, 2, dtype=dtype), torch.randn(T, B, H, dtype=dtype)
    (layer(x)[0] * weights).sum().backward()
    whole = gradients(layer)
    layer.zero_grad()
    with gradients_in_one_sum():
        pieces_from_the_end(layer, x, weights, T - blocks * gradient_steps(B))
    return whole, gradients(layer)


@pytest.mark.parametrize("case", CASES + [c for c in OPTIONS if is_compiled(c)], ids=name_of)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 3), st.integers(1, 50))
def test_pieces_of_whole_blocks_have_the_bits_of_one_pass(case, dtype, B, H, blocks, more):
    T = blocks * gradient_steps(B) + more
    whole, pieces = whole_and_pieces(case, T, B, H, blocks, dtype, num_layers=2)
    assert all(map(torch.equal, whole, pieces))


def test_without_one_sum_the_bits_are_those_of_two_sums():
    layer, _ = CASES[2].pair(dtype=torch.float32)
    x, weights = torch.randn(2000, 1, 2), torch.randn(2000, 1, 4)
    (layer(x)[0] * weights).sum().backward()
    whole = gradients(layer)
    layer.zero_grad()
    pieces_from_the_end(layer, x, weights, 2000 - 4 * gradient_steps(1))
    assert not all(map(torch.equal, whole, gradients(layer)))


def test_the_sum_is_added_to_what_a_parameter_has():
    layer, _ = CASES[2].pair()
    layer(torch.ones(5, 3, 2, dtype=torch.float64))[0].sum().backward()
    once = gradients(layer)
    with gradients_in_one_sum():
        layer(torch.ones(5, 3, 2, dtype=torch.float64))[0].sum().backward()
    for twice, one in zip(gradients(layer), once, strict=True):
        assert torch.equal(twice, 2 * one)


def test_a_frozen_weight_gets_no_gradient():
    layer, _ = CASES[2].pair()
    layer.weight_hh_l0.requires_grad_(False)
    with gradients_in_one_sum():
        layer(torch.ones(5, 3, 2, dtype=torch.float64))[0].sum().backward()
    assert layer.weight_hh_l0.grad is None and layer.weight_ih_l0.grad is not None


def test_an_error_within_leaves_nothing_behind():
    layer, _ = CASES[2].pair()
    with pytest.raises(ZeroDivisionError), gradients_in_one_sum():
        layer(torch.ones(5, 3, 2, dtype=torch.float64))[0].sum().backward()
        raise ZeroDivisionError
    assert layer.weight_hh_l0.grad is None
    layer(torch.ones(5, 3, 2, dtype=torch.float64))[0].sum().backward()
    assert layer.weight_hh_l0.grad is not None


def test_weights_computed_from_others_keep_to_autograd():
    layer, _ = CASES[2].pair()
    weight_norm(layer, "weight_hh_l0")
    x = torch.randn(400, 1, 2, dtype=torch.float64)
    layer(x)[0].sum().backward()
    whole = gradients(layer)
    layer.zero_grad()
    with gradients_in_one_sum():
        pieces_from_the_end(layer, x, torch.ones(400, 1, 4).double(), 400 - gradient_steps(1))
    torch.testing.assert_close(gradients(layer), whole, rtol=1e-12, atol=1e-13)


def test_frozen_weights_and_a_gradient_of_inputs_alone():
    layer, _ = CASES[2].pair()
    layer.requires_grad_(False)
    x = torch.ones(5, 3, 2, dtype=torch.float64, requires_grad=True)
    with gradients_in_one_sum():
        layer(x)[0].sum().backward()
    assert x.grad is not None and layer.weight_hh_l0.grad is None

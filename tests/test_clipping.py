import math

import pytest
import torch

from throughtime.bptt import clip_global_norm
from throughtime.errors import OptionError


def parameters(*gradients):
    made = [torch.zeros(len(g), dtype=torch.float64, requires_grad=True) for g in gradients]
    for parameter, gradient in zip(made, gradients, strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    return made


def test_a_long_gradient_keeps_its_direction_and_gets_the_norm():
    found = parameters([3.0, 0.0], [4.0])
    clipped = clip_global_norm(found, 2.5)
    assert clipped == (5.0, 2.5, True)
    assert torch.equal(torch.cat([p.grad for p in found]), torch.tensor([1.5, 0.0, 2.0]).double())


def test_a_short_gradient_is_left_alone_and_one_without_gradient_is_passed_over():
    found = [*parameters([3.0], [4.0]), torch.zeros(2, requires_grad=True)]
    assert clip_global_norm(found, 5.0) == (5.0, 5.0, False)
    assert found[0].grad.item() == 3.0


def test_it_agrees_with_torch():
    ours, theirs = (parameters(*torch.randn(3, 4).double().mul(i).tolist()) for i in (1, 1))
    for a, b in zip(ours, theirs, strict=True):
        b.grad = a.grad.clone()
    clip_global_norm(ours, 0.5)
    torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=0)  # theirs adds 1e-6


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_is_refused_and_left_as_it_is(bad):
    found = parameters([1.0], [bad])
    with pytest.raises(FloatingPointError, match="must be finite, got"):
        clip_global_norm(found, 1.0)
    assert found[0].grad.item() == 1.0


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
def test_a_norm_that_is_not_above_zero_is_refused(max_norm):
    with pytest.raises(OptionError, match="max_norm must be above 0"):
        clip_global_norm(parameters([1.0]), max_norm)

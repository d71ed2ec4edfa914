"""Every way of clipping: against its formula written out, and what all have in common."""

import math

import numpy as np
import pytest
import torch

from throughtime.bptt import (
    AutoClip,
    clip_global_norm,
    clip_parameter_norms,
    clip_unit_norms,
    clip_values,
)
from throughtime.errors import OptionError

CLIPPINGS = {
    "global norm": lambda found: clip_global_norm(found, 1.0),
    "parameter norms": lambda found: clip_parameter_norms(found, 1.0),
    "values": lambda found: clip_values(found, 1.0),
    "unit norms": lambda found: clip_unit_norms(found, 0.5),
    "percentile": lambda found: history(1.0, 1.0, 1.0).clip(found),
}
every_clipping = pytest.mark.parametrize("clip", CLIPPINGS.values(), ids=CLIPPINGS)


def history(*norms, percentile=50):
    """An AutoClip that has seen gradients of these norms."""
    auto = AutoClip(percentile)
    for norm in norms:
        auto.clip(parameters([norm]))
    return auto


def total_norm(found):
    return math.sqrt(sum((p.grad**2).sum().item() for p in found if p.grad is not None))


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


@every_clipping
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_is_refused_and_left_as_it_is(clip, bad):
    found = parameters([9.0], [bad])
    with pytest.raises(FloatingPointError, match="must be finite, got"):
        clip(found)
    assert found[0].grad.item() == 9.0


@every_clipping
def test_the_record_holds_the_norms_before_and_after(clip):
    found = [*parameters([3.0, 0.5], [-4.0]), torch.zeros(2, requires_grad=True)]
    before = total_norm(found)
    clipped = clip(found)
    assert clipped == (pytest.approx(before), pytest.approx(total_norm(found)), True)
    assert clipped.after < before and found[-1].grad is None


@every_clipping
def test_what_is_short_stays_as_it_is_to_the_last_bit(clip):
    found = parameters([1e-5, 3e-5], [0.0])
    norm = pytest.approx(total_norm(found))
    assert clip(found) == (norm, norm, False)
    assert found[0].grad.tolist() == [1e-5, 3e-5]


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
@pytest.mark.parametrize(
    "clip", [clip_global_norm, clip_parameter_norms, clip_values, clip_unit_norms]
)
def test_a_limit_that_is_not_above_zero_is_refused(clip, limit):
    with pytest.raises(OptionError, match=r"max_\w+ must be above 0, got .* only measures"):
        clip(parameters([1.0]), limit)


def test_every_parameter_is_shortened_by_itself():
    found = parameters([3.0, 4.0], [0.5, 0.0])
    clip_parameter_norms(found, 2.0)
    torch.testing.assert_close(found[0].grad, torch.tensor([1.2, 1.6]).double())
    assert found[1].grad.tolist() == [0.5, 0.0]


def test_values_are_limited_as_torch_limits_them():
    ours, theirs = (parameters([3.0, -0.2], [-7.0, 0.5]) for _ in range(2))
    clip_values(ours, 0.5)
    torch.nn.utils.clip_grad_value_(theirs, 0.5)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.grad, b.grad)


def test_units_are_shortened_to_a_share_of_their_weights():
    weight = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    weight.data[1] = 0  # counts as eps
    weight.grad = torch.randn(4, 2, dtype=torch.float64) * torch.tensor([[1e-4], [1], [1], [9]])
    rows = list(zip(weight.detach().numpy(), weight.grad.clone().numpy(), strict=True))
    clip_unit_norms([weight], max_ratio=0.1, eps=0.02)
    for (w, g), clipped in zip(rows, weight.grad.numpy(), strict=True):
        share = 0.1 * max(math.hypot(*w), 0.02) / math.hypot(*g)
        np.testing.assert_allclose(clipped, g * share if share < 1 else g, rtol=1e-12)


def test_a_bias_is_one_unit():
    bias = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    bias.grad = torch.tensor([0.0, 10.0], dtype=torch.float64)
    assert clip_unit_norms([bias], max_ratio=0.1) == (10.0, pytest.approx(0.5), True)
    torch.testing.assert_close(bias.grad, torch.tensor([0.0, 0.5]).double())


def test_an_eps_that_is_not_above_zero_is_refused():
    with pytest.raises(OptionError, match=r"eps must be above 0, got 0\.0"):
        clip_unit_norms(parameters([1.0]), 0.1, eps=0.0)


@pytest.mark.parametrize("percentile", [0, 10, 37.5, 90, 100])
def test_the_limit_is_the_percentile_of_the_norms_as_they_came(percentile):
    auto, norms = AutoClip(percentile), torch.rand(20).double().tolist()
    for n, norm in enumerate(norms, start=1):
        limit = np.percentile(norms[:n], percentile)
        assert auto.clip(parameters([norm])).after == pytest.approx(min(norm, limit), rel=1e-12)


def test_a_norm_that_is_refused_is_not_remembered():
    auto = history(1.0, 2.0)
    with pytest.raises(FloatingPointError):
        auto.clip(parameters([math.inf]))
    assert auto.state_dict()["norms"].tolist() == [1.0, 2.0]


def test_a_loaded_autoclip_goes_on_as_the_saved_one_to_the_last_bit(tmp_path):
    saved, loaded = history(*torch.rand(9).tolist(), percentile=30), AutoClip(30)
    torch.save(saved.state_dict(), tmp_path / "clip.pt")
    loaded.load_state_dict(torch.load(tmp_path / "clip.pt", weights_only=True))
    for norm in torch.rand(9).tolist():
        assert loaded.clip(parameters([norm])) == saved.clip(parameters([norm]))


def test_a_percentile_that_makes_no_sense_or_is_another_is_refused():
    with pytest.raises(OptionError, match=r"percentile must be in \[0, 100\], got 101"):
        AutoClip(101)
    with pytest.raises(OptionError, match="must be 10 as in this AutoClip, got 20"):
        AutoClip(10).load_state_dict(AutoClip(20).state_dict())

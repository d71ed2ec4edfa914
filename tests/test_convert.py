"""A converted model is the same model: numbers, parameters, mode, hooks and sharing."""

import copy

import pytest
import torch
from cases import (
    CASES,
    SINGLE_CASES,
    B,
    H,
    I,
    T,
    flat,
    name_of,
    results_and_gradients,
)
from torch import nn

import throughtime as tt

each_case = pytest.mark.parametrize("case", [*CASES, *SINGLE_CASES], ids=lambda c: c.layer.__name__)
OPTIONS = {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False}


class Deep(nn.Module):
    """A recurrent module three levels down, of torch's or ours."""

    def __init__(self, layer):
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleDict({"inner": layer}), nn.Linear(2, 2).double()])

    def forward(self, x):
        return self.blocks[0]["inner"](x)


def an_input(case):
    return torch.randn(*([T] if case in CASES else []), B, I, dtype=torch.float64)


@each_case
def test_numbers_and_gradients_stay_the_same_there_and_back(case):
    model, x = Deep(case.pair()[1]), an_input(case)
    x.requires_grad_()
    before = results_and_gradients(model.blocks[0]["inner"], x)
    for back, kind in ((False, case.layer), (True, case.torch_layer)):
        assert tt.convert(model, back=back) is model
        assert type(model.blocks[0]["inner"]) is kind
        after = results_and_gradients(model.blocks[0]["inner"], x)
        torch.testing.assert_close(after, before, rtol=1e-10, atol=1e-12)


@each_case
def test_parameters_are_the_very_same_objects(case):
    model = Deep(case.pair()[1])
    before = dict(model.named_parameters())
    for back in (False, True):
        tt.convert(model, back=back)
        after = dict(model.named_parameters())
        assert list(after) == list(before)
        assert all(after[name] is before[name] for name in before)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_every_option_of_a_layer_is_kept(case):
    theirs = case.pair(**OPTIONS, dropout=0.5)[1]
    ours = tt.convert(theirs)
    again = tt.convert(ours, back=True)
    x = torch.randn(B, T, I, dtype=torch.float64)
    assert repr(again) == repr(theirs)
    outputs = []
    for layer in (theirs, ours, again):
        torch.manual_seed(3)  # the same dropout
        outputs.append(flat(layer(x)))
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=1e-10, atol=1e-12)


def test_a_projection_is_kept():
    ours = tt.convert(nn.LSTM(I, H, proj_size=3))
    assert (ours.proj_size, tuple(ours.weight_hr_l0.shape)) == (3, (3, H))


def test_an_optimiser_made_before_trains_what_was_converted():
    model = nn.Sequential(nn.GRU(I, H))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tt.convert(model)
    before = copy.deepcopy(model[0])
    model(torch.ones(T, B, I))[0].sum().backward()
    optimizer.step()
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    assert not any(torch.equal(new, old) for new, old in pairs)


def test_going_back_torch_reads_the_weights_of_now():
    ours = tt.LSTM(I, H)
    theirs = tt.convert(ours, back=True)
    with torch.no_grad():
        ours.weight_hh_l0.mul_(2)
    x = torch.randn(T, B, I)
    torch.testing.assert_close(theirs(x)[0], ours(x)[0])


@pytest.mark.parametrize("back", [False, True])
def test_evaluation_mode_and_frozen_weights_are_kept(back):
    layer = (tt.LSTM if back else nn.LSTM)(I, H, num_layers=2, dropout=0.5).eval()
    new = tt.convert(layer.requires_grad_(False), back=back)
    assert not new.training and not any(p.requires_grad for p in new.parameters())


def test_a_module_in_two_places_stays_one():
    shared = nn.LSTM(I, I)
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared), "c": nn.LSTM(I, I)})
    tt.convert(model)
    assert model["a"] is model["b"][0] and model["a"] is not model["c"]
    assert isinstance(model["a"], tt.LSTM)


def test_two_layers_that_share_a_weight_go_on_sharing_it():
    model = nn.ModuleList([nn.GRU(I, H), nn.GRU(I, H)])
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    tt.convert(model)
    assert model[0].weight_hh_l0 is model[1].weight_hh_l0


def test_hooks_go_on_and_their_handles_still_remove_them():
    model, seen = nn.Sequential(nn.LSTM(I, H)), []
    handles = [
        model[0].register_forward_hook(lambda *_: seen.append("forward")),
        model[0].register_full_backward_hook(lambda *_: seen.append("backward")),
    ]
    tt.convert(model)
    model(torch.ones(T, B, I, requires_grad=True))[0].sum().backward()
    assert seen == ["forward", "backward"]
    for handle in handles:
        handle.remove()
    model(torch.ones(T, B, I))[0].sum().backward()
    assert seen == ["forward", "backward"]


def test_no_random_number_is_drawn():
    layer = nn.LSTM(I, H)
    before = torch.get_rng_state()
    tt.convert(tt.convert(layer), back=True)
    assert torch.equal(before, torch.get_rng_state())


def test_converting_twice_changes_nothing_more():
    model = tt.convert(nn.Sequential(nn.RNN(I, H)))
    layer = model[0]
    assert tt.convert(model)[0] is layer


def subclass():
    return type("MyLSTM", (nn.LSTM,), {})(I, H)


def with_its_own_forward():
    layer = nn.GRU(I, H)
    layer.forward = lambda x: x
    return layer


def with_a_normalised_weight():
    return nn.utils.parametrizations.weight_norm(nn.LSTM(I, H), "weight_hh_l0")


def with_a_missing_weight():
    layer = nn.LSTM(I, H)
    del layer._parameters["weight_hh_l0"]
    return layer


def with_a_bound_hook():
    layer = nn.LSTM(I, H)
    layer.register_load_state_dict_pre_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (subclass, r"0\.x \(MyLSTM\), whose class may compute something else"),
        (with_its_own_forward, r"0\.x \(GRU\), whose forward the other layer has not"),
        (with_a_normalised_weight, r"0\.x \(ParametrizedLSTM\), whose class"),
        (with_a_missing_weight, r"0\.x \(LSTM\), whose parameters must be weight_ih_l0, weight_hh"),
        (with_a_bound_hook, r"0\.x \(LSTM\), whose hook of loading is bound to it"),
    ],
)
def test_what_may_compute_something_else_is_left_and_named(build, reason):
    odd = build()
    model = nn.Sequential(nn.ModuleDict({"x": odd}), nn.LSTM(I, H))
    with pytest.warns(UserWarning, match=reason):
        tt.convert(model)
    assert model[0]["x"] is odd and type(model[1]) is tt.LSTM


def test_our_subclasses_and_options_that_torch_has_not_are_left_on_the_way_back():
    model = nn.Sequential(type("Mine", (tt.GRU,), {})(I, H), tt.LSTM(I, H))
    model[1].zoneout = 0.1
    with pytest.warns(UserWarning, match=r"0 \(Mine\), whose class.*1 \(LSTM\), whose zoneout"):
        tt.convert(model, back=True)
    assert [type(layer).__name__ for layer in model] == ["Mine", "LSTM"]

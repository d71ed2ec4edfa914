"""What a layer remembers between its calls: nothing that may have changed since."""

import copy
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import throughtime as tt
from throughtime.errors import ShapeError

T, B, H = 5, 3, 4


def set_weight(layer):
    layer.weight_hh_l0 = nn.Parameter(torch.zeros(H, H))


def set_weight_unseen(layer):
    layer._parameters["weight_hh_l0"] = nn.Parameter(torch.zeros(H, H))


def set_data(layer):
    layer.weight_hh_l0.data = torch.ones(H, H)


def turn_data(layer):
    layer.weight_hh_l0.data = layer.weight_hh_l0.data.t()


def write_data(layer):
    layer.weight_hh_l0.data.fill_(0.5)


def load_weights(layer):
    layer.load_state_dict({n: w / 2 for n, w in layer.state_dict().items()}, assign=True)


def parametrize(layer):
    parametrizations.weight_norm(layer, "weight_hh_l0")
    layer.parametrizations.weight_hh_l0.original0.data.mul_(2)


def set_nonlinearity(layer):
    layer.nonlinearity = "relu"


def set_zoneout(layer):
    layer.zoneout = (0.5,)


CHANGES = [
    set_weight,
    set_weight_unseen,
    set_data,
    turn_data,
    write_data,
    load_weights,
    parametrize,
    set_nonlinearity,
    set_zoneout,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_two_calls_is_seen(change):
    layer = tt.RNN(H, H).eval()
    twin = copy.deepcopy(layer)
    x = torch.randn(T, B, H)
    before, _ = layer(x)
    change(layer)
    change(twin)
    assert torch.equal(layer(x)[0], twin(x)[0])
    assert not torch.equal(layer(x)[0], before)


def test_calls_of_every_kind_follow_each_other():
    layer = tt.LSTM(H, H, learn_initial=True)
    nn.init.normal_(layer.h_0_l0)
    x, reset = torch.randn(T, B, H), torch.rand(T, B) < 0.5
    kinds = [{}, {"lengths": [2, 5, 0]}, {"reset": reset}, {"lengths": [4, 1, 3], "reset": reset}]
    alone = [copy.deepcopy(layer)(x, **rows)[0] for rows in kinds]
    for _ in range(2):
        for rows, expected in zip(kinds, alone, strict=True):
            assert torch.equal(layer(x, **rows)[0], expected)


def test_another_type_is_seen():
    layer = tt.LSTM(H, H)
    twin = copy.deepcopy(layer)
    x = torch.randn(T, B, H)
    layer(x)
    assert torch.equal(layer.double()(x.double())[0], twin.double()(x.double())[0])


def test_a_weight_that_is_no_parameter_is_asked_for_at_every_call():
    layer, x = tt.RNN(H, H), torch.randn(T, B, H)
    layer.register_parameter("another", layer._parameters.pop("weight_hh_l0"))
    vars(layer)["weight_hh_l0"] = torch.ones(H, H)
    before, _ = layer(x)
    vars(layer)["weight_hh_l0"] = torch.zeros(H, H)
    assert not torch.equal(layer(x)[0], before)


def test_weights_that_no_longer_fit_are_refused():
    layer = tt.LSTM(H, H)
    x = torch.randn(T, B, H)
    layer(x)
    layer.bias_hh_l0.data = torch.zeros(2)
    with pytest.raises(ShapeError, match=r"bias_hh must be \[16\]"):
        layer(x)


def test_weights_lent_for_one_call_are_gone_after_it():
    layer = tt.GRU(H, H)
    x = torch.randn(T, B, H)
    before, _ = layer(x)
    lent = {name: torch.zeros_like(weight) for name, weight in layer.named_parameters()}
    assert not torch.func.functional_call(layer, lent, (x,))[0].any()
    assert torch.equal(layer(x)[0], before)


def test_cells_are_the_callers_own():
    layer = tt.LSTM(H, H, bidirectional=True)
    x = torch.randn(T, B, H)
    before, _ = layer(x)
    layer.cells()[0][0].weight_hh = torch.zeros(4 * H, H)
    assert torch.equal(layer(x)[0], before)


def test_cells_that_are_drawn_anew_are_asked_for_at_every_call():
    class Noisy(tt.RNN):
        def cells(self):
            cells = super().cells()
            cells[0][0].weight_hh = torch.randn(H, H)
            return cells

    layer, x = Noisy(H, H), torch.randn(T, B, H)
    assert not torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_begins_with_nothing(copied):
    layer = tt.LSTM(H, H)
    x = torch.randn(T, B, H)
    size = len(pickle.dumps(layer))
    before, _ = layer(x)
    other = copied(layer)
    with torch.no_grad():
        other.weight_ih_l0.zero_()
    assert torch.equal(layer(x)[0], before)
    assert not torch.equal(other(x)[0], before)
    assert len(pickle.dumps(layer)) == size


def test_a_layer_without_parameters_of_its_own_runs_its_cells():
    layer = tt.RNN(H, H, bias=False, residual=True, num_layers=2)
    twin, x = copy.deepcopy(layer), torch.randn(T, B, H)
    for name in list(layer._parameters):
        parametrizations.weight_norm(layer, name)
    assert torch.allclose(layer(x)[0], twin(x)[0], atol=1e-6)


def test_cells_of_an_instance_are_asked_for_at_every_call():
    layer, x = tt.RNN(H, H), torch.randn(T, B, H)
    layer(x)
    layer.cells = lambda: [[tt.RNN(H, H).cells()[0][0]]]
    assert not torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.usefixtures("fresh_compiler")
def test_an_option_set_in_compiled_code_is_seen():
    layer, x = tt.RNN(H, H), torch.randn(T, B, H)
    before, _ = layer(x)

    @torch.compile(fullgraph=True, backend="eager")
    def change(x):
        layer.nonlinearity = "relu"
        return layer(x)[0]

    found = change(x)
    assert torch.equal(layer(x)[0], found)
    assert not torch.equal(found, before)


@pytest.mark.parametrize(
    "drop",
    [lambda m: m.to("meta"), lambda m: [delattr(m, n) for n in list(m._parameters)]],
    ids=["to", "delattr"],
)
def test_parameters_that_are_gone_take_no_memory(drop):
    layer = tt.LSTM(H, H)
    layer(torch.randn(T, B, H))
    weight = weakref.ref(layer.weight_ih_l0)
    drop(layer)
    assert weight() is None


def test_an_option_set_while_a_call_makes_its_cells_is_seen():
    class Interrupted(tt.RNN):
        def _cell(self, weights):
            cell = super()._cell(weights)
            if self.nonlinearity == "tanh":
                self.nonlinearity = "relu"  # as another thread may
            return cell

    layer, x = Interrupted(H, H), torch.randn(T, B, H)
    before, _ = layer(x)
    assert layer.nonlinearity == "relu"
    assert not torch.equal(layer(x)[0], before)

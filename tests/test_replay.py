"""A kept step is taken again to the bit, and the first number that is not finite is named."""

import json
import shutil

import pytest
import torch
from command_line import assert_mistake
from tiny_runs import (
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    tiny_options,
)
from torch import nn

import throughtime as tt
from throughtime import record
from throughtime.bptt import Carry
from throughtime.errors import RunError
from throughtime.generators import capture_generators
from throughtime.instruments import replay
from throughtime.instruments.flight.kept_step import STEP, TENSORS, KeptStep, read_step, write_step
from throughtime.tasks import memory
from throughtime.tasks.language_model import train
from throughtime.tasks.memory_options import MemoryOptions, MemoryTraining, ProblemOptions
from throughtime.tasks.network_options import NetworkOptions

T, B, I, H, V = 6, 3, 4, 5, 7


class Model(nn.Module):
    """An embedding, two linear layers over time, a readout; its numbers are zeros and ones."""

    def __init__(self, **options):
        super().__init__()
        self.embedding = nn.Embedding(V, I)
        self.layers = tt.RNN(I, H, num_layers=2, nonlinearity="identity", **options)
        self.readout = nn.Linear(H, V)
        with torch.no_grad():
            for weight in self.parameters():
                weight.zero_()

    def forward(self, tokens):
        return self.readout(self.layers(self.embedding(tokens))[0])


def fly(model, folder, loss_of, batch=None):
    """One step, recorded; the recorder refuses it."""
    batch = torch.zeros(T, B, dtype=torch.int64) if batch is None else batch

    def step(batch, carry):
        return loss_of(model, batch), None

    with (
        pytest.raises(FloatingPointError, match="names the first value"),
        tt.FlightRecorder(model, folder) as recorder,
    ):
        recorder.before_step(batch)
        loss, _ = step(batch, None)
        loss.backward()
        recorder.after_backward(loss)
    found = replay(folder, model, step)
    assert found.is_exact
    return found.place


def total(model, batch):
    return model(batch).sum()


def growing(model, layer, unit, factor):
    """Unit of a layer multiplies what it holds at every step; token 1 puts a one into it."""
    with torch.no_grad():
        getattr(model.layers, f"weight_hh_l{layer}")[unit, unit] = factor
        getattr(model.layers, f"weight_ih_l{layer}")[unit, unit] = 1
        if layer:
            model.layers.weight_ih_l0[unit, unit] = 1
        model.embedding.weight[1, unit] = 1


def where(place):
    return place.passage, place.module, place.layer, place.time, place.row, place.unit


@pytest.mark.parametrize("layer", [0, 1])
def test_a_state_that_overflows_is_named_by_layer_step_row_and_unit(tmp_path, layer):
    model, batch = Model(), torch.zeros(T, B, dtype=torch.int64)
    growing(model, layer, unit=3, factor=1e20)
    batch[1, 2] = 1  # 1 at step 1, 1e20 at step 2, beyond 3.4e38 at step 3
    place = fly(model, tmp_path, total, batch)
    assert where(place) == ("forward", "layers", layer, 3, 2, 3)
    assert str(place).startswith(f"forward pass, layers, layer {layer}: hidden gate before")


def test_a_batch_first_layer_names_the_same_step_and_row(tmp_path):
    model, batch = Model(batch_first=True), torch.zeros(B, T, dtype=torch.int64)
    growing(model, 0, unit=3, factor=1e20)
    batch[2, 1] = 1
    assert where(fly(model, tmp_path, total, batch)) == ("forward", "layers", 0, 3, 2, 3)


def test_the_reverse_direction_is_searched_from_its_end(tmp_path):
    model, batch = Model(), torch.zeros(T, B, dtype=torch.int64)
    model.layers = tt.RNN(I, H, nonlinearity="identity", bidirectional=True)
    model.readout = nn.Linear(2 * H, V)
    with torch.no_grad():
        for weight in model.layers.parameters():
            weight.zero_()
        model.layers.weight_hh_l0_reverse[3, 3] = 1e20
        model.layers.weight_ih_l0_reverse[3, 3] = model.embedding.weight[1, 3] = 1
    batch[4, 2] = batch[1, 0] = 1
    place = fly(model, tmp_path, total, batch)
    assert where(place) == ("forward", "layers", 0, 2, 2, 3) and place.direction == "reverse"


def test_an_lstm_names_the_state_of_the_cell(tmp_path):
    model, batch = Model(), torch.zeros(T, B, dtype=torch.int64)
    model.layers = tt.LSTM(I, H)
    with torch.no_grad():
        model.layers.weight_ih_l0[3, 0] = 3e38  # of the input gate
        model.embedding.weight[1, 0] = 3
    batch[4, 1] = 1
    place = fly(model, tmp_path, lambda m, x: total(m, x) * torch.inf, batch)
    assert where(place) == ("forward", "layers", 0, 4, 1, 3)
    assert place.what == "input gate before its activation"


def test_a_readout_that_overflows_is_named_by_step_row_and_output(tmp_path):
    model, batch = Model(), torch.zeros(T, B, dtype=torch.int64)
    with torch.no_grad():
        model.layers.weight_ih_l0[2, 1] = model.layers.weight_ih_l1[0, 2] = 1
        model.embedding.weight[1, 1], model.readout.weight[6, 0] = 3, 3e38
    batch[5, 1] = 1
    place = fly(model, tmp_path, total, batch)
    assert where(place) == ("forward", "readout", None, 5, 1, 6)


def test_a_readout_over_all_steps_at_once_is_taken_apart(tmp_path):
    model, batch = Model(), torch.zeros(T, B, dtype=torch.int64)
    with torch.no_grad():
        model.layers.weight_ih_l0[2, 1] = model.layers.weight_ih_l1[0, 2] = 1
        model.embedding.weight[1, 1], model.readout.weight[6, 0] = 3, 3e38
    batch[5, 1] = 1

    def flat(model, batch):
        return model.readout(model.layers(model.embedding(batch))[0].flatten(0, 1)).sum()

    assert where(fly(model, tmp_path, flat, batch)) == ("forward", "readout", None, 5, 1, 6)


def test_a_loss_that_is_not_finite_of_its_own_is_named(tmp_path):
    place = fly(Model(), tmp_path, lambda model, batch: -(model(batch).mean().log()))
    assert where(place)[:2] == ("forward", "the loss")


def test_a_gradient_that_begins_at_an_output_is_named_there(tmp_path):
    def root(model, batch):
        return model(batch)[4, 2, 5].sqrt() + model(batch).sum()

    place = fly(Model(), tmp_path, root)
    assert where(place) == ("backward", "readout", None, 4, 2, 5)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_gradient_that_explodes_on_its_way_back_is_named(tmp_path, layer):
    model = Model()
    growing(model, layer, unit=3, factor=1e20)
    with torch.no_grad():
        model.layers.weight_ih_l1[3, 3] = model.readout.weight[0, 3] = 1
    place = fly(model, tmp_path, lambda model, batch: model(batch)[4, 1].sum())
    assert where(place) == ("backward", "layers", layer, 2, 1, 3)


def test_squares_that_overflow_name_the_largest_gradient(tmp_path):
    model = Model()
    growing(model, 1, unit=3, factor=1e8)
    with torch.no_grad():
        model.readout.weight[0, 3], model.layers.weight_ih_l1[3, 3] = 1, 0
    place = fly(model, tmp_path, lambda model, batch: model(batch)[4, 1].sum())
    assert where(place) == ("norm", "layers", 1, 0, 1, 3)
    assert (place.what, place.value) == ("dL/dh", pytest.approx(1e32, rel=1e-5))


def test_weights_and_inputs_that_were_not_finite_before_are_named(tmp_path):
    model = Model()
    with torch.no_grad():
        model.embedding.weight[2, 1] = torch.nan
    place = fly(model, tmp_path / "weights", lambda m, x: total(m, x) * torch.nan)
    assert (place.passage, place.module, place.index) == ("weights", "embedding.weight", (2, 1))
    layer, x = tt.GRU(I, H), torch.zeros(T, B, I)
    x[3, 1, 2] = torch.inf
    place = fly(layer, tmp_path / "batch", lambda layer, x: layer(x)[0].sum(), x)
    assert (place.passage, place.module, place.index) == ("input", "batch", (3, 1, 2))


def test_a_model_of_torch_is_searched_too(tmp_path):
    model = Model()
    model.layers = nn.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        for weight in model.layers.parameters():
            weight.zero_()
        model.layers.weight_hh_l0[3, 3] = 1e20
        model.layers.weight_ih_l0[3, 3] = model.embedding.weight[1, 3] = 1
    batch = torch.zeros(T, B, dtype=torch.int64)
    batch[1, 2] = 1
    assert where(fly(model, tmp_path, total, batch)) == ("forward", "layers", 0, 3, 2, 3)


def test_a_step_comes_back_with_all_that_it_is_made_of(tmp_path):
    states = tt.LSTM(I, H).initial_state(B)
    batch = {"x": torch.randn(2, 3), "names": ["a", None, 5, 0.5, True]}
    weights = {"w": torch.ones(2)}
    step = KeptStep(
        4, (batch,), Carry(states), capture_generators(), weights, True, float("nan"), None
    )
    write_step(tmp_path, step)
    found = read_step(tmp_path)
    assert (
        torch.equal(found.batch[0]["x"], batch["x"]) and found.batch[0]["names"] == batch["names"]
    )
    assert type(found.carry) is Carry and type(found.carry.state) is tt.States
    assert type(found.carry.state[0]) is type(states[0])
    assert (found.update, found.norm) == (4, None) and found.loss != found.loss


def test_a_clipping_that_refuses_the_gradient_keeps_the_step_too(tmp_path):
    layer, x = tt.RNN(I, H), torch.full((T, B, I), torch.inf)
    with pytest.raises(FloatingPointError), tt.FlightRecorder(layer, tmp_path) as recorder:
        recorder.before_step(x)
        layer(x)[0].sum().backward()
        tt.bptt.clip_global_norm(layer.parameters(), 1.0)
    assert read_step(tmp_path / record.CRASH).update == 1


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A run with dropout that ended at a number that is not finite."""
    folder = tmp_path_factory.mktemp("crashed")
    options = tiny_options(
        folder,
        model={"cell": "irnn"},
        **{"optimizer": "sgd", "lr": 1e30, "schedule": "constant", "clip": 0.0},
    )
    with pytest.raises(RunError, match=r"see throughtime replay .*, train anew with a lower --lr"):
        train(options, folder / "run", quiet)
    return folder / "run"


def test_the_command_repeats_the_step_of_a_run_and_names_the_place(crashed, call):
    result = call("replay", crashed)
    assert result.code == 0 and "yes, to the bit" in result.out
    assert "the first that is not finite: " in result.out


def test_a_run_on_a_memory_task_is_replayed(tmp_path, call):
    options = MemoryOptions(
        ProblemOptions(steps=6),
        NetworkOptions(cell="irnn", hidden=4),
        MemoryTraining(lr=1e30, optimizer="sgd", schedule="constant", clip=0.0, threads=1),
    )
    with pytest.raises(RunError, match="must be finite"):
        memory.train("adding", options, tmp_path / "run", quiet)
    assert "yes, to the bit" in call("replay", tmp_path / "run").out


@pytest.fixture
def spoilt(crashed, tmp_path):
    return shutil.copytree(crashed, tmp_path / "run")


def test_a_run_that_ended_well_or_is_none_is_refused(run, tmp_path, call):
    assert_mistake(call("replay", run), "a step to replay must be in", "there is none")
    assert_mistake(call("replay", tmp_path), "must hold config.yaml")
    assert_mistake(call("replay", tmp_path / "none"), "must be a folder")


DAMAGE = [
    (lambda step: step.update(format=record.FORMAT + 1), "update throughtime"),
    (lambda step: step.pop("format"), "no format number"),
    (lambda step: step.pop("batch"), "KeyError"),
    (lambda step: step.update(batch={"tensor": "other"}), "KeyError"),
    (lambda step: step.update(batch={"pickle": "gASVAAAA"}), "it is damaged"),
    (lambda step: step.update(batch={"plain": 5}), "must fit the model"),
    (lambda step: step.update(batch=[]), "it is damaged"),
    (lambda step: step.update(carry={"carry": []}), "it is damaged"),
    (lambda step: step.update(loss="much"), "it is damaged"),
    (lambda step: step.update(generators={"dict": {}}), "must fit the model"),
    (lambda step: step.update(update=None), "it is damaged"),
]


@pytest.mark.parametrize(("damage", "part"), DAMAGE)
def test_a_damaged_step_is_refused_in_a_sentence(spoilt, call, damage, part):
    file = spoilt / record.CRASH / STEP
    step = json.loads(file.read_text())
    damage(step)
    file.write_text(json.dumps(step))
    assert_mistake(call("replay", spoilt), part)


@pytest.mark.parametrize("content", ["", "5", "{", "[" * 100_000, '{"format": true}'])
def test_a_step_that_is_no_json_object_is_refused(spoilt, call, content):
    (spoilt / record.CRASH / STEP).write_text(content)
    assert_mistake(call("replay", spoilt), STEP)


@pytest.mark.parametrize("name", [TENSORS, record.WEIGHTS])
def test_cut_or_missing_tensors_are_refused(spoilt, call, name):
    file = spoilt / record.CRASH / name
    file.write_bytes(file.read_bytes()[:-9])
    assert_mistake(call("replay", spoilt), name, "it is damaged")
    file.unlink()
    assert_mistake(call("replay", spoilt), name)


def test_tokens_that_the_model_does_not_know_are_refused(spoilt, call):
    file = spoilt / record.CRASH / TENSORS
    tensors = record.read_tensors(file)
    record.write_tensors(file, tensors | {"batch.0": tensors["batch.0"] + 10_000})
    assert_mistake(call("replay", spoilt), "must fit the model")


def test_weights_of_another_network_are_refused(spoilt, call):
    record.write_weights(spoilt / record.CRASH, {"weight": torch.ones(3)})
    assert_mistake(call("replay", spoilt), "must fit the model")

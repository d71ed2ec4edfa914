"""`tt.watch`: a tape holds what the definition computes, and changes nothing."""

import copy
import pickle

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, flat, name_of, packed, worst_error
from test_return_all import LENGTHS, ROWS, drawn, reference, with_fixed_draws
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence

import throughtime as tt
from throughtime import native
from throughtime.cells import Inside
from throughtime.errors import OptionError

each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
each_torch_case = pytest.mark.parametrize("case", CASES, ids=name_of)
each_path = pytest.mark.parametrize("path", ["kernel", "loop"])
each_kind_of_rows = pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)


@pytest.fixture(autouse=True)
def take_path(request, monkeypatch):
    if "path" in request.fixturenames and request.getfixturevalue("path") == "loop":
        monkeypatch.setattr(native, "refusal", lambda *_: "the test wants the loop")


class Spy:
    """A cell that remembers every step, with the gradients of its parts."""

    def __init__(self, cell):
        self.cell, self.seen = cell, []
        self.project, self.initial_state = cell.project, cell.initial_state

    def inside(self, z, state):
        is_open = hasattr(self.cell, "inside")
        found = self.cell.inside(z, state) if is_open else Inside({}, {}, self.cell.step(z, state))
        for part in [*found.state, *found.pre_activations.values()]:
            part.retain_grad()
        self.seen.append(found)
        return found

    def gradients(self, is_reverse):
        """By name, [T, B, ·]."""
        steps = self.seen[::-1] if is_reverse else self.seen
        parts = [{**step.state._asdict(), **step.pre_activations} for step in steps]
        return {name: torch.stack([grad_of(part[name]) for part in parts]) for name in parts[0]}


def grad_of(tensor):
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def expected_gradients(cells, x, states, rows, weights):
    """Of each layer dL/dy and the gradients of every step, by the definition."""
    spies = [[Spy(cell) for cell in directions] for directions in cells]
    outputs = reference(spies, x, states, **rows)
    for parts in outputs:
        parts["state", "h"].retain_grad()
    (outputs[-1]["state", "h"].flatten(2) * weights).sum().backward()
    found = []
    for directions, parts in zip(spies, outputs, strict=True):
        both = [spy.gradients(d == 1) for d, spy in enumerate(directions)]
        own = {name: torch.stack([grads[name] for grads in both], 2) for name in both[0]}
        found.append({"dy": parts["state", "h"].grad, **own})
    return found


def taped_gradients(layer):
    return {"dy": layer.dy, **layer.dstates._asdict(), **layer.dpre_activations}


@each_path
@each_kind_of_rows
@each_case
def test_gradients_of_every_step_are_those_of_the_definition(case, rows, path):
    layer = case.make(num_layers=2, bidirectional=True).eval()
    cells = with_fixed_draws(layer.train(case.name != "own-cell"))
    x = drawn(T, B, I).requires_grad_()
    states = layer.initial_state(B).map(lambda f: torch.randn_like(f).requires_grad_())
    weights = drawn(T, B, 2 * H)
    expected = expected_gradients(cells, x, states, rows, weights)
    with tt.watch(layer) as tape:
        (layer(x, states, **rows)[0] * weights).sum().backward()
    for ours, theirs in zip(tape.recording().layers, expected, strict=True):
        found = taped_gradients(ours)
        assert found.keys() == theirs.keys()
        assert worst_error([found[name] for name in theirs], list(theirs.values())) < 1e-10


@each_path
@each_case
def test_watching_changes_no_bit(case, path):
    layer = case.make(num_layers=2, bidirectional=True, dropout=0.3)
    x = drawn(T, B, I).requires_grad_()
    found = []
    for is_watched in (False, True):
        torch.manual_seed(5)
        layer.zero_grad()
        x.grad = None
        tape = tt.watch(layer) if is_watched else None
        y, state = layer(x, lengths=LENGTHS)
        sum(part.sin().sum() for part in [y, *flat(state)]).backward()
        if tape:
            tape.close()
        found.append([y, *flat(state), x.grad, *[p.grad.clone() for p in layer.parameters()]])
    assert all(map(torch.equal, *found))


@each_torch_case
def test_a_layer_of_torch_gives_the_tape_of_its_twin(case):
    ours, theirs = case.pair(num_layers=2, bidirectional=True, dropout=0.3)
    x, weights = drawn(T, B, I), drawn(T, B, 2 * H)
    tapes = []
    for layer in (nn.Sequential(ours), nn.Sequential(theirs)):
        torch.manual_seed(3)
        with tt.watch(layer) as tape:
            y, state = layer(x)
            ((y * weights).sum() + sum(field.sum() for field in flat(state))).backward()
        tapes.append(tape["0"])
    assert list(tapes[0]) == list(tapes[1])
    for name in tapes[0]:
        np.testing.assert_allclose(tapes[1][name], tapes[0][name], rtol=1e-10, atol=1e-13)


@each_torch_case
def test_a_layer_of_torch_keeps_its_bits_and_its_generator(case):
    layer = case.pair(num_layers=2, dropout=0.3)[1]
    x = drawn(T, B, I)
    found = []
    for is_watched in (False, True):
        torch.manual_seed(5)
        layer.zero_grad()
        tape = tt.watch(layer) if is_watched else None
        y, state = layer(x)
        sum(part.sin().sum() for part in [y, *flat(state)]).backward()
        if tape:
            tape.close()
        found.append(
            [y, *flat(state), torch.rand(3), *[p.grad.clone() for p in layer.parameters()]]
        )
    assert all(map(torch.equal, *found))


@each_path
@each_case
def test_packed_rows_stand_on_the_tape_as_padded_ones(case, path):
    layer = case.make(num_layers=2, bidirectional=True).eval()
    lengths = [2, 5, 3]
    rows = packed(lengths)
    padded, _ = pad_packed_sequence(rows)
    weights = drawn(5, 3, 2 * H)
    with tt.watch(layer) as tape:
        y, _ = pad_packed_sequence(layer(rows)[0])
        (y * weights).sum().backward()
        from_packed = tape.dataset()
        (layer(padded.detach(), lengths=lengths)[0] * weights).sum().backward()
    assert list(from_packed) == list(tape.dataset())
    for name, values in tape.dataset().items():
        np.testing.assert_allclose(from_packed[name], values, rtol=1e-10, atol=1e-13)
    assert list(from_packed.length) == lengths


@pytest.mark.parametrize("case", [*CASES, *OPTIONS[:-1]], ids=name_of)
def test_noise_of_packed_rows_stays_with_its_row(case):
    layer = case.make()
    rows = packed([2, 5, 3])
    with tt.watch(layer) as tape:
        y, _ = pad_packed_sequence(layer(rows)[0])
    (recorded,) = tape.recording().layers
    inside = recorded.run.inside()
    before = recorded.run.cells[0].inside(
        recorded.run.cells[0].project(recorded.x), recorded.run.states_before(0)
    )
    valid = recorded.valid[..., None]
    assert torch.equal(recorded.states.h.flatten(2), y)
    assert worst_error([before.state.h * valid], [y]) < 1e-10
    assert worst_error([*inside.gates.values()], [*recorded.gates.values()]) < 1e-10


def test_padding_is_missing_and_lengths_are_a_coordinate():
    layer = tt.LSTM(I, H, num_layers=2)
    with tt.watch(layer) as tape:
        layer(torch.randn(T, B, I), lengths=LENGTHS)[0].sum().backward()
    found = tape[""]
    is_step = np.arange(T)[:, None] < np.array(LENGTHS)
    for name, values in found.items():
        missing = np.isnan(values)
        assert missing.values[..., ~is_step, :].all()
        inner = missing.isel(layer=1) if name == "x" else missing
        assert not inner.values[..., is_step, :].any()
    assert list(found.length) == LENGTHS


def test_sizes_that_a_layer_does_not_have_are_missing():
    layer = tt.GRU(I, [3, 5])
    with tt.watch(layer) as tape:
        layer(torch.randn(T, B, I))
    h = tape[""].h
    assert h.sizes["unit"] == 5
    assert np.isnan(h.sel(layer=0).isel(unit=slice(3, None))).all()
    assert not np.isnan(h.sel(layer=0).isel(unit=slice(3))).any()


def test_a_tape_survives_the_update_that_follows():
    layer = tt.RNN(I, H, nonlinearity="softsign", dtype=torch.float64)
    x = drawn(T, B, I)
    steps = layer(x, return_all=True)[2][0]
    expected = steps.pre_activations["hidden"].detach()
    with tt.watch(layer) as tape:
        layer(x)[0].sum().backward()
        torch.optim.SGD(layer.parameters(), lr=1.0).step()
    found = tape.recording().layers[0].pre_activations["hidden"]
    assert worst_error([found], [expected]) < 1e-10


def test_every_second_step_is_kept_and_the_last_two_stay():
    layer = tt.RNN(1, 1)
    with tt.watch(layer, tt.Keep(every=2, last=2)) as tape:
        for t in range(8):
            layer(torch.full((1, 1, 1), float(t)))
    kept = tape.recordings()
    assert [recording.step for recording in kept] == [4, 6]
    assert [float(recording.layers[0].x) for recording in kept] == [4, 6]


def goes_back(layer, steps=T, **rows):
    layer(torch.randn(steps, B, I), **rows)[0].sum().backward()


@pytest.mark.parametrize("steps", [T, T + 1])
@each_kind_of_rows
def test_gradients_lie_where_those_of_a_forgotten_call_did(rows, steps):
    layer = tt.LSTM(I, H, num_layers=2)
    with tt.watch(layer) as tape:
        goes_back(layer, steps)
        torch.manual_seed(0)
        goes_back(layer, **rows)
    with tt.watch(layer) as fresh:
        torch.manual_seed(0)
        goes_back(layer, **rows)
    assert tape[""].equals(fresh[""])


def test_gradients_that_somebody_asked_for_stay():
    layer = tt.LSTM(I, H)
    with tt.watch(layer) as tape:
        goes_back(layer)
        shown, recording = tape[""], tape.recording()
        before = shown.copy(deep=True)
        goes_back(layer)
        assert not tape[""].equals(before)
    assert shown.equals(before)
    assert np.array_equal(
        recording.layers[0].dstates.c[:, :, 0], before.dc.isel(layer=0, direction=0)
    )


def test_steps_that_count_anew_lose_nothing():
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tt.RNN(I, H)

        def forward(self, x, runs=True):
            return self.layer(x)[0] if runs else x

    model, x = Sometimes(), torch.randn(T, B, I)
    with tt.watch(model, tt.Keep(last=3)) as tape:
        for _ in range(3):
            goes_back(model.layer)
        model(x).sum().backward()
        held = tape.recordings("layer")
        assert [recording.step for recording in held] == [0, 1, 2, 0]
        before = [recording.layers[0].dstates.h.clone() for recording in held]
        for _ in range(10):
            model(x, runs=False)
        model(x).square().sum().backward()
    for recording, expected in zip(held, before, strict=True):
        assert torch.equal(recording.layers[0].dstates.h, expected)


def test_gradients_taken_in_inference_mode_leave_their_memory_to_nobody():
    layer = tt.LSTM(I, H)
    with tt.watch(layer) as tape:
        loss = layer(torch.randn(T, B, I))[0].sum()
        with torch.inference_mode():
            loss.backward()
        layer.zero_grad()
        goes_back(layer, lengths=[2] * B)
    assert not np.isnan(tape[""].dh.isel(time=0)).any()


def test_gradients_that_another_tape_keeps_stay():
    layer = tt.LSTM(I, H)
    with tt.watch(layer, tt.Keep(last=2)) as keeper, tt.watch(layer), tt.watch(layer) as seen:
        goes_back(layer)
        before = seen[""]
        goes_back(layer)
    assert keeper.dataset(call=-2).equals(before)


def test_a_step_is_a_forward_call_of_the_model_however_often_it_calls_a_layer():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tt.RNN(1, 1)

        def forward(self, x):
            return self.layer(self.layer(x)[0])[0]

    model = Twice()
    with tt.watch(model, tt.Keep(every=2)) as tape:
        for _ in range(4):
            model(torch.ones(1, 1, 1))
    assert [recording.step for recording in tape.recordings("layer")] == [2, 2]


def test_modules_called_from_outside_a_forward_each_keep_their_own_steps():
    model = nn.ModuleDict({"a": tt.RNN(1, 1), "b": tt.RNN(1, 1)})
    with tt.watch(model, tt.Keep(every=2)) as tape:
        for _ in range(4):
            model["b"](model["a"](torch.ones(1, 1, 1))[0])
    assert [[recording.step for recording in tape.recordings(name)] for name in "ab"] == [[2], [2]]


def test_steps_that_are_not_kept_leave_nothing_behind():
    layer = tt.LSTM(I, H)
    with tt.watch(layer, tt.Keep(every=100)) as tape:
        layer(torch.randn(T, B, I))
        y, _ = layer(torch.randn(T, B, I))
    assert type(y.grad_fn).__name__ == "LayerForwardBackward"
    assert len(tape.recordings()) == 1


def test_a_closed_tape_sees_nothing_more_and_keeps_what_it_saw():
    layer = tt.LSTM(I, H)
    with tt.watch(layer) as tape:
        layer(torch.zeros(T, B, I))
    layer(torch.ones(T, B, I))
    assert not np.any(tape[""].x)


def test_two_tapes_watch_one_model():
    layer = tt.GRU(I, H)
    with tt.watch(layer) as outer, tt.watch(layer, tt.Keep({"states"})) as inner:
        layer(torch.ones(T, B, I))[0].sum().backward()
    assert set(inner[""]) == {"h"}
    assert outer[""].h.equals(inner[""].h)


@pytest.mark.parametrize("make", [tt.LSTM, nn.LSTM])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_nobody_watches_a_copy(make, copied):
    model = nn.Sequential(make(I, H))
    with tt.watch(model) as tape:
        copied(model)(torch.ones(T, B, I))
        assert not tape.recordings()


def test_parts_that_can_not_be_computed_later_are_computed_at_once():
    layer = tt.RNN(I, H, nonlinearity="softsign")
    x = torch.randn(T, B, I)
    with tt.watch(layer) as whole, tt.watch(layer, tt.Keep({"pre_activations"})) as part:
        layer(x)
    assert set(part[""]) == {"pre_activations"}
    assert part[""].pre_activations.equals(whole[""].pre_activations)


def test_without_autograd_there_is_all_but_gradients():
    layer = tt.LSTM(I, H, num_layers=2)
    with torch.no_grad(), tt.watch(layer) as tape:
        layer(torch.randn(T, B, I))
    assert set(tape[""]) == {"x", "h", "c", "gates", "pre_activations"}
    with torch.inference_mode(), tt.watch(nn.LSTM(I, H)) as tape:
        nn.LSTM(I, H)(torch.randn(T, B, I))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda layer, x: tt.watch(nn.Linear(1, 1)), "must hold a recurrent layer.*Linear"),
        (lambda layer, x: tt.watch(layer)["other"], "must be one of '', got 'other'"),
        (lambda layer, x: tt.watch(layer)[""], "one of the 0 on the tape, got -1"),
        (lambda layer, x: tt.Keep({"state"}), "what must be a set of inputs"),
        (lambda layer, x: tt.Keep(every=0), "every must be a whole number of at least 1, got 0"),
    ],
)
def test_mistakes_are_named(use, message):
    with pytest.raises(OptionError, match=message):
        use(tt.LSTM(I, H), torch.ones(T, B, I))


def test_a_tape_without_a_backward_pass_says_so():
    layer = tt.LSTM(I, H)
    with tt.watch(layer) as tape:
        layer(torch.ones(T, B, I))
    with pytest.raises(OptionError, match="the tape has seen none; call loss"):
        _ = tape.recording().layers[0].dy


def test_what_was_not_kept_is_named():
    layer = tt.LSTM(I, H)
    with tt.watch(layer, tt.Keep({"gates", "states"})) as tape:
        layer(torch.ones(T, B, I))
    with pytest.raises(OptionError, match="inputs must be on the tape, it keeps gates, states"):
        _ = tape.recording().layers[0].run


def test_an_output_changed_in_place_is_not_shown():
    layer = tt.LSTM(I, H)
    with torch.no_grad(), tt.watch(layer) as tape:
        layer(torch.ones(T, B, I))[0].zero_()
    with pytest.raises(OptionError, match="changed in place"):
        _ = tape.recording().layers[0].states


def test_transforms_refuse_to_be_watched():
    layer = tt.LSTM(I, H)
    with tt.watch(layer), pytest.raises(OptionError, match="must run in eager mode"):
        torch.func.vmap(lambda x: layer(x)[0])(torch.ones(2, T, B, I))


def test_a_layer_whose_class_is_not_known_is_left_out_by_name():
    class Own(nn.LSTM):
        pass

    model = nn.ModuleDict({"own": Own(I, H), "known": nn.LSTM(I, H)})
    with pytest.warns(UserWarning, match="leaves out own \\(Own\\)"):
        tape = tt.watch(model)
    assert tape.names == ["known"]

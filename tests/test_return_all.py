"""`return_all=True`: every state, gate and pre-activation of a call, and their derivatives."""

import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, flat, name_of, packed, worst_error
from torch.nn.functional import dropout as drop

import throughtime as tt
from throughtime import native
from throughtime.errors import OptionError
from throughtime.layers import Recurrent
from throughtime.native import _kernels
from throughtime.sequences import WHOLE

each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
OPEN = [case for case in [*CASES, *OPTIONS] if case.name != "own-cell"]  # that has no `inside`
each_open_case = pytest.mark.parametrize("case", OPEN, ids=name_of)
each_plain_case = pytest.mark.parametrize("case", CASES, ids=name_of)
each_path = pytest.mark.parametrize("path", ["kernel", "loop"])
LENGTHS = [2, T, 0]
RESET = torch.arange(T * B).reshape(T, B) % 4 == 1
ROWS = {
    "whole": {},
    "lengths": {"lengths": LENGTHS},
    "reset": {"reset": RESET},
    "both": {"lengths": [T, 4, 1], "reset": RESET},
}
each_kind_of_rows = pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def take_loop(monkeypatch):
    return lambda: monkeypatch.setattr(native, "refusal", lambda *_: "the test wants the loop")


def with_fixed_draws(layer):
    """The layer, from now on with the cells that it draws first; and these."""
    cells = layer._cells_for(drawn(T, B, I), WHOLE)
    layer._cells_for = lambda *_: cells
    return cells


def loop_over_inside(cell, x, state, lengths, reset, backwards):
    """The definition, one step and one row at a time: (part, name) -> [T, B, ·]."""
    before, fresh, z, found = state, cell.initial_state(B), cell.project(x), {}
    for t in reversed(range(T)) if backwards else range(T):
        edge = t + 1 if backwards else t  # a reset stands between edge - 1 and edge
        starts = [edge < lengths[b] and bool(reset[edge, b]) for b in range(B)]
        before = choose(starts, fresh, before)
        inside = cell.inside(z[t], before)
        goes_on = [t < lengths[b] for b in range(B)]
        parts = [inside.state._asdict(), inside.gates, inside.pre_activations]
        for part, named in zip(("state", "gates", "pre_activations"), parts, strict=True):
            for name, value in named.items():
                nothing = torch.zeros_like(value)
                (kept,) = choose(goes_on, (value,), (nothing,))
                found.setdefault((part, name), [None] * T)[t] = kept
        before = choose(goes_on, inside.state, before)
    return {key: torch.stack(steps) for key, steps in found.items()}


def choose(conditions, yes, no):
    fields = [
        torch.stack([a if c else b for c, a, b in zip(conditions, *both, strict=True)])
        for both in zip(yes, no, strict=True)
    ]
    return fields if type(yes) is tuple else type(yes)(*fields)


def reference(cells, x, states, lengths=None, reset=None):
    """All parts of all layers by the definition, [T, B, D, ·] each."""
    lengths = [T] * B if lengths is None else lengths
    reset = torch.zeros(T, B, dtype=torch.bool) if reset is None else reset
    everything = []
    for directions, start in zip(cells, states, strict=True):
        found = [
            loop_over_inside(
                cell, x, type(start)(*(f[d] for f in start)), lengths, reset, backwards=d == 1
            )
            for d, cell in enumerate(directions)
        ]
        everything.append({k: torch.stack([f[k] for f in found], 2) for k in found[0]})
        x = everything[-1]["state", "h"].flatten(2)
    return everything


def parts_of(steps, cell):
    """The same parts as a layer returns them."""
    return {
        **{("state", name): getattr(steps, name) for name in cell.initial_state(1)._fields},
        **{("gates", name): value for name, value in steps.gates.items()},
        **{("pre_activations", name): value for name, value in steps.pre_activations.items()},
    }


def gradients(everything, inputs):
    """Of a fixed random combination of all parts."""
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (part * torch.randn(part.shape, dtype=part.dtype, generator=generator)).sum()
        for parts in everything
        for _, part in sorted(parts.items())
    )
    return torch.autograd.grad(loss, inputs, materialize_grads=True)


@each_path
@each_kind_of_rows
@each_open_case
def test_everything_and_its_gradients_are_those_of_the_definition(case, rows, path, take_loop):
    layer = case.make(num_layers=2, bidirectional=True)
    cells = with_fixed_draws(layer)
    x = drawn(T, B, I).requires_grad_()
    states = layer.initial_state(B).map(lambda f: torch.randn_like(f).requires_grad_())
    inputs = [x, *flat(states), *layer.parameters()]
    expected = reference(cells, x, states, **rows)
    expected_gradients = gradients(expected, inputs)
    if path == "loop":
        take_loop()
    _, _, steps = layer(x, states, **rows, return_all=True)
    found = [parts_of(s, c[0]) for s, c in zip(steps, cells, strict=True)]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        assert worst_error([ours[key] for key in theirs], list(theirs.values())) < 1e-10
    assert worst_error(list(gradients(found, inputs)), list(expected_gradients)) < 1e-10


@each_path
@each_case
def test_a_loss_over_y_alone_has_the_same_bits(case, path, take_loop):
    layer = case.make(num_layers=2, bidirectional=True, dropout=0.3)
    if path == "loop":
        take_loop()
    x = drawn(T, B, I).requires_grad_()
    inputs = [x, *layer.parameters()]
    found = []
    for options in ({}, {"return_all": True}):
        torch.manual_seed(1)
        y, final, *_ = layer(x, lengths=[2, T, 1], reset=RESET, **options)
        found.append([y, *flat(final), *torch.autograd.grad(y.sin().sum(), inputs)])
    assert all(map(torch.equal, *found))


@each_plain_case
def test_a_gradient_flows_from_the_last_gate_to_the_first_input(case):
    layer = case.make()
    x = drawn(T, B, I).requires_grad_()
    _, _, (steps,) = layer(x, return_all=True)
    for part in parts_of(steps, layer.cells()[0][0]).values():
        (gradient,) = torch.autograd.grad(part[-1].sum(), x, retain_graph=True)
        assert gradient.abs().amax((1, 2)).min() > 0


@each_plain_case
def test_steps_stand_in_the_layout_of_the_input(case):
    layer, rows = case.make(bidirectional=True), {"lengths": LENGTHS, "reset": RESET}
    x, (cell, _) = drawn(T, B, I), layer.cells()[0]
    _, _, (steps,) = layer(x, **rows, return_all=True)
    layer.batch_first = True
    rows["reset"] = RESET.T
    _, _, (turned,) = layer(x.transpose(0, 1), **rows, return_all=True)
    _, _, (whole,) = layer(x.transpose(0, 1), return_all=True)
    _, _, (single,) = layer(x[:, 1], return_all=True)
    for key, part in parts_of(steps, cell).items():
        assert part.shape == (T, B, 2, H)
        assert torch.equal(parts_of(turned, cell)[key].transpose(0, 1), part)
        assert worst_error([parts_of(single, cell)[key]], [parts_of(whole, cell)[key][1]]) < 1e-10


def test_a_layer_is_shown_with_its_own_input_and_output():
    layer = CASES[2].make(num_layers=2, dropout=0.5, residual=True, input_size=H)
    x = drawn(T, B, H)
    torch.manual_seed(1)
    y, _, steps = layer(x, return_all=True)
    torch.manual_seed(1)
    below = drop(steps[0].h.flatten(2), 0.5)
    zeros = layer.initial_state(B)
    expected = reference([layer.cells()[1]], below, zeros[1:])[0]
    assert (
        worst_error(
            [parts_of(steps[1], layer.cells()[1][0])[k] for k in expected], list(expected.values())
        )
        < 1e-10
    )
    assert worst_error([y], [steps[0].h.flatten(2) + steps[1].h.flatten(2)]) < 1e-12


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@each_path
@each_open_case
def test_everything_is_there_where_no_derivative_is(case, path, mode, take_loop):
    layer = case.make(num_layers=2).eval()
    if path == "loop":
        take_loop()
    x = drawn(T, B, I)
    expected = reference(layer.cells(), x, layer.initial_state(B), LENGTHS, RESET)
    with mode():
        _, _, steps = layer(x, lengths=LENGTHS, reset=RESET, return_all=True)
        for ours, theirs, (cell,) in zip(steps, expected, layer.cells(), strict=True):
            found = parts_of(ours, cell)
            assert worst_error([found[key] for key in theirs], list(theirs.values())) < 1e-10


@each_plain_case
def test_the_gates_are_what_the_kernel_kept(case, monkeypatch):
    layer = case.make(bidirectional=True)
    calls = []
    cell = type(layer.cells()[0][0])
    inside = cell.inside
    monkeypatch.setattr(cell, "inside", lambda *a: (calls.append("inside"), inside(*a))[1])
    run = _kernels.Layer.forward
    monkeypatch.setattr(_kernels.Layer, "forward", lambda *a: (calls.append("kernel"), run(*a)))
    _, _, (steps,) = layer(drawn(T, B, I), return_all=True)
    gates = list(steps.gates.values())
    assert calls == ["kernel"]
    sum(gate.sum() for gate in gates).backward()
    assert calls == ["kernel", "inside", "inside"]


def everything_of(layer, **rows):
    """A function of x that gives every part of every layer."""

    def run(x):
        _, _, steps = layer(x, **rows, return_all=True)
        cells = layer.cells()
        found = [parts_of(s, c[0]) for s, c in zip(steps, cells, strict=True)]
        return tuple(part for parts in found for part in parts.values())

    return run


@each_plain_case
def test_the_gradient_of_a_gradient_is_that_of_the_definition(case):
    layer = case.make(num_layers=2, bidirectional=True)
    x, rows = drawn(T, B, I).requires_grad_(), {"lengths": LENGTHS, "reset": RESET}
    inputs = [x, *layer.parameters()]
    shown = everything_of(layer, **rows)(x)
    defined = reference(layer.cells(), x, layer.initial_state(B), **rows)
    defined = [part for parts in defined for _, part in sorted(parts.items())]
    found = []
    for everything in (shown, defined):
        loss = sum(part.sin().sum() for part in everything)
        first = torch.autograd.grad(loss, inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
        found.append([*first, *second])
    assert worst_error(*found) < 1e-10


@each_plain_case
def test_gradients_may_be_asked_for_in_batches(case):
    layer, x = case.make(bidirectional=True), drawn(T, B, I).requires_grad_()
    _, _, (steps,) = layer(x, return_all=True)
    for part in parts_of(steps, layer.cells()[0][0]).values():
        grads = drawn(3, *part.shape)
        batched = torch.autograd.grad(part, x, grads, retain_graph=True, is_grads_batched=True)
        each = [torch.autograd.grad(part, x, grad, retain_graph=True)[0] for grad in grads]
        assert worst_error(list(batched[0]), each) < 1e-10


@each_path
@each_plain_case
def test_a_batch_of_no_rows_shows_no_rows(case, path, take_loop):
    if path == "loop":
        take_loop()
    layer = case.make(bidirectional=True)
    _, _, (steps,) = layer(drawn(T, 0, I).requires_grad_(), return_all=True)
    parts = list(parts_of(steps, layer.cells()[0][0]).values())
    assert {part.shape for part in parts} == {(T, 0, 2, H)}
    sum(part.sum() for part in parts).backward()


@each_plain_case
def test_transforms_see_everything(case):
    layer = case.make(num_layers=2, bidirectional=True)
    run = everything_of(layer, lengths=LENGTHS, reset=RESET)
    loss = lambda x: sum(part.sin().sum() for part in run(x))  # noqa: E731
    xs = drawn(2, T, B, I)
    expected = []
    for x in xs.clone().requires_grad_():
        expected.append(torch.autograd.grad(loss(x), x)[0])
    assert worst_error(list(torch.func.vmap(torch.func.grad(loss))(xs)), expected) < 1e-10
    tangent = torch.func.jvp(loss, (xs[0],), (xs[1],))[1]
    assert worst_error([tangent], [(expected[0] * xs[1]).sum()]) < 1e-10


@pytest.mark.usefixtures("fresh_compiler")
def test_a_compiled_function_sees_everything():
    layer, x = CASES[2].make(), drawn(2, B, I)
    run = everything_of(layer, reset=RESET[:2])
    compiled = torch.compile(run, backend="eager", fullgraph=True)
    assert worst_error(list(compiled(x)), list(run(x))) < 1e-10
    steps = torch.compile(lambda x: layer(x, return_all=True)[2][0], backend="eager")(x)
    assert worst_error([steps.c], [layer(x, return_all=True)[2][0].c]) < 1e-10
    with pytest.raises(OptionError, match="of a compiled call must be asked for in the compiled"):
        steps.gates  # noqa: B018


def test_an_input_in_half_precision_shows_what_the_loop_computed():
    layer = tt.LSTM(I, H, dtype=torch.bfloat16)
    y, _, (steps,) = layer(torch.randn(T, B, I, dtype=torch.bfloat16), return_all=True)
    assert torch.equal(steps.h.flatten(2), y)
    gates = steps.gates
    assert worst_error([gates["output"] * torch.tanh(steps.c)], [steps.h]) < 0.02


class Plain:
    """A cell of one's own that shows nothing but its step."""

    def __init__(self, cell):
        self.project, self.step, self.initial_state = cell.project, cell.step, cell.initial_state


class PlainLayer(Recurrent):
    def __init__(self):
        super().__init__(I)
        self.lstm = CASES[2].make()

    def cells(self):
        return [[Plain(self.lstm.cells()[0][0])]]

    def _reference(self):
        return self.lstm.weight_ih_l0


def test_a_cell_that_shows_no_gates_shows_its_states():
    layer, x = PlainLayer(), drawn(T, B, I)
    _, _, (steps,) = layer(x, return_all=True)
    _, _, (expected,) = layer.lstm(x, return_all=True)
    assert worst_error([steps.h, steps.c], [expected.h, expected.c]) < 1e-10
    for name in ("gates", "pre_activations"):
        with pytest.raises(OptionError, match="has the method `inside`, got Plain; give it one"):
            getattr(steps, name)


@pytest.mark.parametrize("case", [CASES[0], CASES[2], OPTIONS[2]], ids=name_of)
def test_what_would_be_computed_from_other_weights_is_refused(case):
    layer = case.make()
    y, _, (steps,) = layer(drawn(T, B, I), return_all=True)
    y.sum().backward()
    torch.optim.SGD(layer.parameters(), 0.1).step()
    with pytest.raises(OptionError, match="ask before the optimiser's step"):
        steps.pre_activations  # noqa: B018


def test_what_cannot_be_shown_is_refused():
    layer = CASES[0].make()
    with pytest.raises(OptionError, match="return_all must come with a tensor, got a PackedSeq"):
        layer(packed([3, 1]), return_all=True)
    with pytest.raises(OptionError, match="return_all must be of type bool, got int 1"):
        layer(drawn(T, B, I), return_all=1)
    _, _, (steps,) = layer(drawn(T, B, I), return_all=True)
    with pytest.raises(AttributeError):
        steps.c  # noqa: B018
    assert repr(steps) == "Steps(h=[5, 3, 1, 4])"

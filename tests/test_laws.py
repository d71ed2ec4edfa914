"""The laws of sequences: each holds for every cell and option, in the kernel and in the loop."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from cases import CASES, OPTIONS, I, flat
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import throughtime as tt
from throughtime import native

each_path = pytest.mark.parametrize("path", ["kernel", "loop"])


@dataclass
class Call:
    """A layer and what it is called with, in the order T, B; fields of the state [L*D, B, ·]."""

    layer: torch.nn.Module
    x: Tensor
    state: list[Tensor]
    lengths: Tensor | None
    reset: Tensor | None

    def run(self):
        """Y and the final states."""
        hx = self.packed(self.state)
        x, reset, is_flipped = self.x, self.reset, self.layer.batch_first
        if is_flipped:
            x, reset = x.transpose(0, 1), None if reset is None else reset.transpose(0, 1)
        y, final = self.layer(x, hx, lengths=self.lengths, reset=reset)
        final = final.to_torch() if isinstance(final, tt.States) else final
        return [y.transpose(0, 1) if is_flipped else y, *flat(final)]

    def packed(self, fields):
        """A state in the form of torch.nn; `States` for a cell that torch does not know."""
        if not isinstance(self.layer, tt.Layer):
            return tuple(fields) if len(fields) == 2 else fields[0]
        start = self.layer.initial_state(1)
        by_layer = zip(*(field.chunk(len(start)) for field in fields), strict=True)
        return tt.States(type(start[0])(*layer) for layer in by_layer)

    def beginning(self):
        """What a row begins afresh from."""
        return flat(self.layer.initial_state(self.x.shape[1]).to_torch())

    @property
    def leaves(self):
        return [self.x, *self.state, *self.layer.parameters()]

    def part(self, steps, rows):
        """The call of some steps and some rows."""
        x, state = self.x[steps][:, rows], [field[:, rows] for field in self.state]
        reset = None if self.reset is None else self.reset[steps][:, rows]
        return replace(self, x=x, state=state, reset=reset, lengths=self.lengths[rows])


@st.composite
def calls(draw, directions=(1, 2), layers=(1, 2), least_steps=1):
    """A call with lengths and resets, each of which may stand anywhere."""
    case = draw(st.sampled_from(CASES) | st.sampled_from(OPTIONS))
    T, B = draw(st.integers(least_steps, 7)), draw(st.integers(1, 4))
    options = {
        "num_layers": draw(st.sampled_from(layers)),
        "bidirectional": draw(st.sampled_from(directions)) == 2,
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
    }
    if case.name.startswith("lstm"):
        options["proj_size"] = draw(st.sampled_from([0, 0, 3]))
    if options["num_layers"] > 1:
        options["residual"] = draw(st.booleans())
    layer = case.make(draw(st.integers(0, 99)), **options).eval()  # what is drawn: test_options
    lengths = draw(st.lists(st.integers(0, T), min_size=B, max_size=B))
    resets = draw(st.lists(st.booleans(), min_size=T * B, max_size=T * B))
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    fields = flat(layer.initial_state(B).to_torch())
    state = [torch.randn_like(field).requires_grad_() for field in fields]
    return Call(layer, x, state, torch.tensor(lengths), torch.tensor(resets).view(T, B))


@contextmanager
def on(path):
    """Layers take this path; a projection has no kernel and takes the loop in any case."""
    with pytest.MonkeyPatch.context() as patch:
        if path == "loop":
            patch.setattr(native, "refusal", lambda *_: "the test wants the loop")
        yield


def gradients(outputs, leaves):
    """Of a function whose slope is 1 at 0, so that padded outputs get a gradient."""
    loss = sum(out.sin().sum() for out in outputs)
    return torch.autograd.grad(loss, leaves, materialize_grads=True)


def check_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def check_law(ours, theirs, leaves):
    """Two ways to the same outputs have the same gradients as well."""
    check_same(ours, theirs)
    check_same(gradients(ours, leaves), gradients(theirs, leaves))


def by_direction(call, forward, reverse):
    """For each field one value of the forward rows of L*D and one of the reverse rows."""
    D = 1 + call.layer.bidirectional
    is_reverse = torch.arange(call.layer.num_layers * D) % D == 1
    return [
        torch.where(is_reverse[:, None, None], b, a) for a, b in zip(forward, reverse, strict=True)
    ]


def piecewise(call):
    """One row alone, each piece between two resets a call of its own without lengths or resets."""
    n, fresh = int(call.lengths), call.beginning()
    resets = [] if call.reset is None else call.reset[:n, 0].nonzero().flatten().tolist()
    bounds = [0, *[t for t in resets if t > 0], n]
    forward, reverse, outputs = (fresh if 0 in resets else call.state), call.state, []
    finals = []
    for k, (begin, end) in enumerate(pairwise(bounds)):
        first, last = forward if k == 0 else fresh, reverse if end == n else fresh
        piece = replace(call, x=call.x[begin:end], state=by_direction(call, first, last))
        y, *final = replace(piece, lengths=None, reset=None).run()
        outputs.append(y)
        finals.append(final)
    padding = y.new_zeros(len(call.x) - n, *y.shape[1:])
    return [torch.cat([*outputs, padding]), *by_direction(call, finals[-1], finals[0])]


def row_by_row(call):
    """Every row of a call by itself; one of no steps keeps its state."""
    rows = []
    for b in range(call.x.shape[1]):
        row = call.part(slice(None), slice(b, b + 1))
        if row.lengths == 0:
            y = replace(row, lengths=None, reset=None).run()[0]
            rows.append([y * 0, *row.state])
        else:
            rows.append(piecewise(row))
    return [torch.cat(fields, dim=1) for fields in zip(*rows, strict=True)]


@each_path
@given(call=calls(), num_more=st.integers(0, 3))
def test_padding_changes_nothing_even_when_it_is_nan(path, call, num_more):
    T, B = call.reset.shape
    valid = torch.arange(T)[:, None] < call.lengths
    x = torch.full((T + num_more, B, I), torch.nan, dtype=torch.float64)
    x[:T][valid] = call.x.detach()[valid]
    reset = torch.ones(T + num_more, B, dtype=torch.bool)
    reset[:T] = call.reset | ~valid
    padded = replace(call, x=x.requires_grad_(), reset=reset)
    with on(path):
        (y, *finals), (longer, *same) = call.run(), padded.run()
        check_same([torch.cat([y, y.new_zeros(num_more, B, y.shape[2])]), *finals], [longer, *same])
        dx, *others = gradients([y, *finals], call.leaves)
        longer_dx, *same = gradients([longer, *same], padded.leaves)
    check_same([torch.cat([dx, dx.new_zeros(num_more, B, I)]), *others], [longer_dx, *same])
    assert not y[~valid].any() and not dx[~valid].any()


@each_path
@given(call=calls())
def test_a_row_alone_is_the_row_in_any_batch(path, call):
    call = replace(call, reset=None)
    with on(path):
        check_law(call.run(), row_by_row(call), call.leaves)


@each_path
@given(call=calls())
def test_a_reset_is_a_start_of_its_own(path, call):
    with on(path):
        check_law(call.run(), row_by_row(call), call.leaves)


@each_path
@given(call=calls(), order=st.permutations(range(4)))
def test_reordered_rows_give_reordered_results(path, call, order):
    order = [b for b in order if b < call.x.shape[1]]
    with on(path):
        expected = [result[:, order] for result in call.run()]
        check_law(call.part(slice(None), order).run(), expected, call.leaves)


def flipped(sequence, lengths):
    """Every row from its own end on; what stands behind the end stays."""
    steps = torch.arange(len(sequence))[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return sequence[places, torch.arange(len(lengths))]


def swap_directions(layer, patch):
    """Each direction gets the weights of the other."""
    if isinstance(layer, tt.Layer):
        patch.setattr(layer.layers[0], "_modules", dict(enumerate(reversed(layer.layers[0]))))
        return
    weights = dict(layer.named_parameters())
    for name in [name for name in weights if not name.endswith("_reverse")]:
        patch.setitem(layer._parameters, name, weights[f"{name}_reverse"])
        patch.setitem(layer._parameters, f"{name}_reverse", weights[name])


def mirrored(call):
    """The call with every row flipped, and what stands between two of its steps with them."""
    steps = torch.arange(len(call.x))[:, None]
    before = torch.cat([call.reset[1:], call.reset[:1]]) & (steps < call.lengths - 1)
    x, reset = flipped(call.x, call.lengths), flipped(before, call.lengths)
    return replace(call, x=x, reset=reset, state=[field.flip(0) for field in call.state])


@each_path
@given(call=calls(directions=(2,), layers=(1,)))
def test_the_reverse_direction_is_the_forward_one_over_flipped_rows(path, call):
    call.reset[0] = False  # it would have no counterpart behind the end
    with on(path), pytest.MonkeyPatch.context() as patch:
        y, *finals = call.run()
        swap_directions(call.layer, patch)
        other_y, *other_finals = mirrored(call).run()
    expected = flipped(other_y, call.lengths).roll(y.shape[2] // 2, dims=2)
    check_law([y, *finals], [expected, *(field.flip(0) for field in other_finals)], call.leaves)


@each_path
@given(call=calls(directions=(1,), least_steps=2), share=st.floats(0, 1))
def test_two_halves_with_the_state_carried_are_one_run(path, call, share):
    T, everyone = len(call.x), slice(None)
    cut = 1 + int(share * (T - 2))
    first, second = (call.part(steps, everyone) for steps in (slice(cut), slice(cut, None)))
    with on(path):
        y, *carried = replace(first, lengths=call.lengths.clamp(max=cut)).run()
        rest = replace(second, state=carried, lengths=(call.lengths - cut).clamp(min=0))
        later, *finals = rest.run()
        check_law(call.run(), [torch.cat([y, later]), *finals], call.leaves)

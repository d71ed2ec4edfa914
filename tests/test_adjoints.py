"""What the backward pass hands out of every step, against autograd through the plain loop."""

from functools import partial

import pytest
import torch
from cases import CASES, B, I, T, flat, name_of, worst_error
from hypothesis import assume, given
from test_option_paths import COMPILED, trainings

from throughtime import native
from throughtime.layers.unroll import unroll_direction_steps
from throughtime.native.trace import Adjoints, Trace
from throughtime.native.twins import inner_of
from throughtime.sequences import WHOLE, Rows, read_rows

WITH_KERNEL = [*CASES, *(case for case in COMPILED if case.name != "gru-everything")]
LSTMS = [case for case in WITH_KERNEL if case.name.startswith("lstm")]
each_case = pytest.mark.parametrize("case", WITH_KERNEL, ids=name_of)
RAGGED = Rows(torch.tensor([3, 3, 2, 1, 1]))


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


class Watched:
    """A cell that keeps z and every state that it gives."""

    def __init__(self, cell):
        self.cell, self.states, self.initial_state = cell, [], cell.initial_state

    def project(self, x):
        self.z = self.cell.project(x)  # behind it what zoneout keeps
        return self.z

    def step(self, z, state):
        self.states.append(self.cell.step(z, state))
        return self.states[-1]


def is_trained(value):
    return isinstance(value, torch.Tensor) and value.requires_grad


def combined(tensors):
    """A fixed random combination of all numbers."""
    generator = torch.Generator().manual_seed(7)
    return sum(
        (part * torch.randn(part.shape, dtype=torch.float64, generator=generator)).sum()
        for part in tensors
    )


def start_of(cells, batch):
    """Some state, fields [D, B, ·]."""
    fresh = cells[0].initial_state(batch)
    return type(fresh)(*(drawn(len(cells), *field.shape, dtype=field.dtype) for field in fresh))


def by_autograd(cells, x, start, rows):
    """dh, dc or nothing, and dz: [N, D, ·], of the combination of all that the loop gives."""
    watched = [Watched(cell) for cell in cells]
    loss = combined(flat(unroll_direction_steps(watched, x, start, rows)))
    by_direction = []
    for d, cell in enumerate(watched):
        steps = list(zip(*(cell.states if d == 0 else cell.states[::-1]), strict=True))
        nodes = [cell.z, *(node for field in steps for node in field)]
        dz, *others = torch.autograd.grad(loss, nodes, retain_graph=True, materialize_grads=True)
        G, width = len(cells[d].gates), cells[d].initial_state(1)[-1].shape[-1]
        dz = dz[..., : G * width].unflatten(-1, (G, width)).reshape(-1, G, width)
        num = len(others) // len(steps)
        dstates = [torch.cat(others[k * num : (k + 1) * num]) for k in range(len(steps))]
        by_direction.append([*dstates, dz])
    return [torch.stack(parts, dim=1) for parts in zip(*by_direction, strict=True)]


def gradients_of(trace):
    return trace.adjoints.dh, trace.adjoints.dc, trace.adjoints.dz


def handed_out(cells, x, start, rows):
    """The same from the kernel."""
    trace = Trace(Adjoints())
    found = native.run_layer_steps(unroll_direction_steps, cells, x, start, rows, trace)
    combined(flat(found[:2])).backward()
    return [part for part in gradients_of(trace) if part is not None]


def check(cells, x, rows=WHOLE):
    start = start_of(cells, rows.batch(x))
    ours, theirs = handed_out(cells, x, start, rows), by_autograd(cells, x, start, rows)
    assert worst_error(ours, theirs) < 1e-10


@given(trainings())
def test_they_are_the_derivatives_by_the_tensors_of_the_loop(training):
    layer, x, given_rows = training
    rows = read_rows(**given_rows, x=x, batch_first=False)
    cells = layer._cells_for(x, rows)[0]
    assume(native.refusal(cells, x) is None)
    check(cells, x, rows)


@pytest.fixture
def three_threads():
    most = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(most)


@each_case
def test_parts_of_rows_and_blocks_of_steps_hand_out_theirs(case, three_threads):
    steps, batch = 20, 64
    x, lengths = drawn(steps, batch, I), torch.randint(17, steps + 1, (batch,))
    assert lengths.sum() > batch * native.gradient_steps(batch)  # so that there are two blocks
    rows = read_rows(lengths, torch.rand(steps, batch) < 0.2, x, False)
    check(case.make(bidirectional=True)._cells_for(x, rows)[0], x, rows)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_threads_that_share_units_hand_out_theirs(case, three_threads):
    x = drawn(8, 2, I)
    check(case.make(hidden_size=200)._cells_for(x, WHOLE)[0], x)


@pytest.mark.parametrize("case", LSTMS, ids=name_of)
def test_a_projection_has_adjoints_too(case):
    x = drawn(T, B, I)
    check(case.make(proj_size=3)._cells_for(x, WHOLE)[0], x)


@each_case
def test_packed_rows_have_theirs_in_their_own_places(case):
    x = drawn(int(RAGGED.batch_sizes.sum()), I)
    check(case.make(bidirectional=True)._cells_for(x, RAGGED)[0], x, RAGGED)


@each_case
def test_padding_has_none_and_a_later_pass_its_own(case):
    x = drawn(T, B, I)
    rows = read_rows([2, T, 0], None, x, False)
    cells = case.make()._cells_for(x, rows)[0]
    trace, start = Trace(Adjoints()), start_of(cells, B)
    states, _, _ = native.run_layer_steps(unroll_direction_steps, cells, x, start, rows, trace)
    assert gradients_of(trace) == (None, None, None)
    found = []
    for scale in (1, -2):
        (scale * states.h.sum()).backward(retain_graph=True)
        found.append([trace.adjoints.dh, trace.adjoints.dz])
    for first, second in zip(*found, strict=True):
        assert torch.equal(second, -2 * first)
        by_row = first.unflatten(0, (T, B)).abs().amax(dim=(2, 3, *range(4, first.dim() + 1)))
        assert torch.equal(by_row > 0, rows.valid(x))


@each_case
def test_gradients_have_the_same_bits_whether_they_are_handed_out(case):
    x = drawn(T, B, I)
    cells = case.make(bidirectional=True, hidden_size=37)._cells_for(x, WHOLE)[0]
    start, gradients = start_of(cells, B), []
    weights = [w for cell in cells for w in vars(inner_of(cell)).values() if is_trained(w)]
    for trace in (None, Trace(Adjoints())):
        (h, *_), *_ = native.run_layer_steps(unroll_direction_steps, cells, x, start, WHOLE, trace)
        inputs = [x, *start, *weights]
        gradients.append(torch.autograd.grad(combined([h]), inputs, materialize_grads=True))
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("options", [{"create_graph": True}, {"is_grads_batched": True}])
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_pass_that_is_differentiated_or_batched_leaves_none(case, options):
    x = drawn(T, B, I)
    cells, trace = case.make().cells()[0], Trace(Adjoints())
    states, _, _ = native.run_layer_steps(unroll_direction_steps, cells, x, None, WHOLE, trace)
    dh = torch.ones_like(states.h)
    torch.autograd.grad(states.h, x, dh, retain_graph=True)
    assert trace.adjoints.dz is not None
    torch.autograd.grad(states.h, x, dh[None] if "is_grads_batched" in options else dh, **options)
    assert gradients_of(trace) == (None, None, None)


@pytest.mark.parametrize("case", [*CASES, *LSTMS], ids=name_of)
def test_packed_steps_are_those_of_the_rows_and_so_are_second_derivatives(case):
    cells = case.make(bidirectional=True).eval().cells()[0]
    x = drawn(int(RAGGED.batch_sizes.sum()), I)
    start = start_of(cells, B)
    results = []
    for run in (partial(native.run_layer_steps, unroll_direction_steps), unroll_direction_steps):
        states, final = run(cells, x, start, RAGGED)[:2]
        (dx,) = torch.autograd.grad(combined(flat([states, final])), x, create_graph=True)
        results.append([*states, *final, dx, *torch.autograd.grad(dx.square().sum(), x)])
    assert worst_error(*results) < 1e-10

import re
from weakref import finalize

import pytest
import torch
from cases import CASES, name_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from unrolls import unroll_named

from throughtime.bptt import Carry, Checkpointed, Full
from throughtime.bptt.segments import count_segments, cut, measure
from throughtime.errors import OptionError
from throughtime.native import gradient_steps

T, B, I, H = 300, 3, 2, 4

sizes = given(
    T=st.integers(1, 600),
    B=st.integers(1, 40),
    I=st.integers(1, 9),
    H=st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65])),
    layers=st.integers(1, 3),
    segments=st.integers(1, 9),
)
quietly = settings(max_examples=12, deadline=None, derandomize=True)
every_case = pytest.mark.parametrize("case", CASES, ids=name_of)
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def leaf(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def drawn(case, dtype, T, B, I, H, layers):
    """A layer, its input, a first state with a gradient, and a loss of outputs per step."""
    layer, _ = case.pair(input_size=I, hidden_size=H, num_layers=layers, dtype=dtype)
    x, weights = leaf(T, B, I, dtype=dtype), torch.randn(T, B, H, dtype=dtype)
    state = tuple(leaf(layers, B, H, dtype=dtype) for _ in range(1 + (case.name == "lstm")))
    carry = Carry(state if len(state) == 2 else state[0])
    return layer, x, carry, state, lambda y, steps: (y * weights[steps]).sum()


def gradients(leaves):
    found = [tensor.grad for tensor in leaves]
    for tensor in leaves:
        tensor.grad = None
    return found


def flat_state(carry):
    return carry.state if isinstance(carry.state, tuple) else (carry.state,)


@every_case
@both_types
@quietly
@sizes
def test_every_bit_is_that_of_full(case, dtype, segments, **sizes):
    layer, x, first, state, loss = drawn(case, dtype, **sizes)
    leaves = [x, *state, *layer.parameters()]
    _, after = Full().backward(layer, x, loss, first)
    full = gradients(leaves)
    _, found = Checkpointed(segments=segments).backward(layer, x, loss, first)
    assert all(map(torch.equal, flat_state(found), flat_state(after)))
    assert all(map(torch.equal, gradients(leaves), full))


@every_case
@both_types
@quietly
@sizes
def test_outputs_that_are_kept_have_every_bit_of_full(case, dtype, segments, **sizes):
    layer, x, first, state, loss = drawn(case, dtype, **sizes)
    y, after = Full().advance(layer, x, first)
    loss(y, slice(None)).backward()
    full = gradients([x, *state])
    found, carry = Checkpointed(segments=segments).advance(layer, x, first)
    loss(found, slice(None)).backward()
    assert all(map(torch.equal, (found, *flat_state(carry)), (y, *flat_state(after))))
    assert all(map(torch.equal, gradients([x, *state]), full))


@every_case
@quietly
@sizes
def test_weights_of_outputs_that_are_kept_agree_to_rounding(case, segments, **sizes):
    layer, x, first, _, loss = drawn(case, torch.float64, **sizes)
    loss(Full().advance(layer, x, first)[0], slice(None)).backward()
    full = gradients(list(layer.parameters()))
    loss(Checkpointed(segments=segments).advance(layer, x, first)[0], slice(None)).backward()
    for ours, theirs in zip(gradients(list(layer.parameters())), full, strict=True):
        scale = max(1.0, theirs.abs().max().item())
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12 * scale)


def test_outputs_that_are_kept_can_be_differentiated_twice():
    layer, x = unroll_named("lstm"), leaf(T, B, I)

    def twice(bptt):
        (dx,) = torch.autograd.grad(bptt.advance(layer, x)[0].square().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), x)[0]

    full = twice(Full())
    torch.testing.assert_close(twice(Checkpointed(segments=3)), full, rtol=1e-10, atol=1e-11)


class Dropped(nn.Module):
    """A recurrent layer that draws a mask for each step."""

    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(I, H)
        self.masks = []

    def forward(self, x, state=None):
        self.masks.append(torch.rand_like(x) < 0.5)
        return self.layer(x * self.masks[-1], state)


def test_dropout_is_replayed_exactly():
    module, x = Dropped().double(), leaf(T, B, I)
    Checkpointed(segments=3).backward(module, x, lambda y, steps: y.square().sum())
    found = gradients([x, *module.parameters()])
    first, second, third, second_again, first_again = module.masks
    assert torch.equal(first, first_again) and torch.equal(second, second_again)
    module.layer(x * torch.cat([first, second, third]))[0].square().sum().backward()
    torch.testing.assert_close(found, gradients([x, *module.parameters()]), rtol=1e-11, atol=1e-12)


def test_dropout_is_replayed_for_outputs_that_are_kept():
    module, x = Dropped().double(), leaf(T, B, I)
    Checkpointed(segments=3).advance(module, x)[0].square().sum().backward()
    found = gradients([x, *module.parameters()])
    module.layer(x * torch.cat(module.masks[:3]))[0].square().sum().backward()
    torch.testing.assert_close(found, gradients([x, *module.parameters()]), rtol=1e-11, atol=1e-12)


def test_a_loss_draws_numbers_of_its_own():
    drawn = []

    def loss(y, steps):
        drawn.append(torch.rand(()).item())
        return y.sum()

    module, x = Dropped(), torch.ones(T, B, I)
    Checkpointed(segments=3).backward(module, x, loss)
    after = torch.rand(()).item()
    torch.manual_seed(0)
    Dropped()
    for mask in module.masks[:3]:
        assert torch.equal(torch.rand_like(mask.float()) < 0.5, mask)
    assert drawn == [torch.rand(()).item() for _ in range(3)]
    assert after == torch.rand(()).item()


def test_choosing_the_segments_uses_up_no_random_number():
    module, x = Dropped(), torch.ones(T, B, I)
    before = torch.get_rng_state()
    measure(module, x, None, lambda y, steps: (y * torch.rand_like(y)).sum())
    assert torch.equal(torch.get_rng_state(), before)


class Counting(nn.Module):
    """Counts how often each step is run."""

    def __init__(self):
        super().__init__()
        self.layer, self.runs = nn.RNN(1, H), torch.zeros(T, dtype=torch.int64)

    def forward(self, x, state=None):
        self.runs[x[:, 0, 0].long()] += 1
        return self.layer(x, state)


def test_no_step_runs_more_than_twice_and_those_of_the_last_segment_once():
    module, x = Counting(), torch.arange(T).float().reshape(T, 1, 1).expand(T, B, 1)
    Checkpointed(segments=2).backward(module, x, lambda y, steps: y.sum())
    assert module.runs.tolist() == [2] * (T - 2 * gradient_steps(B)) + [1] * 2 * gradient_steps(B)


class Kept:
    """A tensor that a graph keeps."""

    def __init__(self, tensor):
        self.tensor = tensor


class Memory:
    """The bytes that graphs keep, weights and inputs apart, and the most there ever were."""

    def __init__(self):
        self.now = self.most = 0

    def keep(self, tensor):
        kept = Kept(tensor)
        is_view = tensor.untyped_storage().nbytes() > tensor.nbytes
        if not is_view and not isinstance(tensor, nn.Parameter):
            self.add(tensor.nbytes)
            finalize(kept, self.add, -tensor.nbytes)
        return kept

    def add(self, size):
        self.now += size
        self.most = max(self.most, self.now)


@pytest.mark.parametrize("budget", [140_000, 300_000, 1_000_000])
@pytest.mark.parametrize("name", ["lstm", "own-module"])
def test_what_is_kept_stays_within_the_memory_and_makes_use_of_it(name, budget):
    module, x, memory = unroll_named(name), torch.randn(5000, 1, I).double(), Memory()
    with saved_tensors_hooks(memory.keep, lambda kept: kept.tensor):
        Checkpointed(memory=budget).backward(module, x, lambda y, steps: y.sum())
    assert budget / 3 < memory.most < budget


def test_without_a_budget_four_times_the_steps_need_twice_the_memory():
    most = []
    for num_steps in (20_000, 80_000):
        memory = Memory()
        with saved_tensors_hooks(memory.keep, lambda kept: kept.tensor):
            x = torch.ones(num_steps, 8, I, dtype=torch.float64)
            Checkpointed().backward(unroll_named("gru"), x, lambda y, steps: y.sum())
        most.append(memory.most)
    assert 1.6 < most[1] / most[0] < 2.4


@given(st.integers(1, 2000), st.integers(1, 10**6), st.integers(1, 10**4), st.floats(0, 2))
@settings(deadline=None, derandomize=True)
def test_the_number_of_segments_is_the_smallest_that_fits(num_blocks, block, edge, share):
    def need(segments):
        return (segments - 1) * edge + -(-num_blocks // segments) * block

    least = count_segments(num_blocks, block, edge, None)
    assert need(least) == min(map(need, range(1, num_blocks + 1)))
    assert need(least) <= 2 * (num_blocks * block * edge) ** 0.5 + block + edge
    memory = need(least) * (1 + share)
    chosen = count_segments(num_blocks, block, edge, memory)
    assert need(chosen) <= memory and all(need(s) > memory for s in range(1, chosen))


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 30))
@settings(deadline=None, derandomize=True)
def test_segments_are_whole_blocks_from_the_end_and_leave_no_step_out(num_steps, block, segments):
    found = cut(num_steps, block, segments)
    assert [t for steps in found for t in range(num_steps)[steps]] == list(range(num_steps))
    assert all((num_steps - steps.start) % block == 0 for steps in found[1:])
    assert len(found) == min(segments, -(-num_steps // block))
    assert all(steps.start < steps.stop for steps in found)


def test_a_loss_of_the_last_step_alone_reaches_the_first():
    layer, x = unroll_named("gru"), leaf(T, B, I)
    layer(x)[0][-1].sum().backward()
    expected = gradients([x, *layer.parameters()])

    def loss(y, steps):
        return y[-1].sum() if steps.stop == T else torch.zeros(())

    Checkpointed(segments=3).backward(layer, x, loss)
    assert x.grad[0].abs().max() > 0
    torch.testing.assert_close(gradients([x, *layer.parameters()]), expected)


def test_tokens_have_a_batch_and_no_gradient():
    embedding, layer = nn.Embedding(7, I), nn.GRU(I, H)
    tokens = torch.randint(7, (T, B))

    def unroll(tokens, state):
        return layer(embedding(tokens), state)

    parameters = [*embedding.parameters(), *layer.parameters()]
    unroll(tokens, None)[0].square().sum().backward()
    expected = gradients(parameters)
    Checkpointed(segments=3).backward(unroll, tokens, lambda y, steps: y.square().sum())
    torch.testing.assert_close(gradients(parameters), expected)


def test_a_state_that_is_a_view_is_kept_without_what_it_looks_into():
    module, seen = unroll_named("own-module"), []

    def unroll(x, state):
        seen.append(state)
        return module(x, state)

    Checkpointed(segments=3).backward(unroll, leaf(T, B, I), lambda y, steps: y.sum())
    for state in filter(None, seen):
        assert state.h.untyped_storage().nbytes() == state.h.nbytes


def test_a_loss_without_a_gradient_is_refused():
    with pytest.raises(OptionError, match="got constants for all segments"):
        Checkpointed(segments=2).backward(
            nn.GRU(I, H), torch.ones(T, B, I), lambda y, steps: y.detach().sum()
        )


def test_too_little_memory_is_refused_with_what_would_do():
    with pytest.raises(OptionError, match=r"at least \d+ bytes .* got 1000;") as caught:
        Checkpointed(memory=1000).advance(nn.GRU(I, H), torch.ones(T, B, I))
    least = re.search(r"\d+", str(caught.value))[0]
    Checkpointed(memory=int(least)).advance(nn.GRU(I, H), torch.ones(T, B, I))


@pytest.mark.parametrize("options", [{"segments": 0}, {"memory": 0}, {"memory": float("nan")}])
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match="must be at least 1, got"):
        Checkpointed(**options)


def test_segments_and_memory_together_are_refused():
    with pytest.raises(OptionError, match="segments or memory must be None, got 2 and 1000"):
        Checkpointed(segments=2, memory=1000)

"""Any call that the interface accepts, drawn at random, has the plain loop's numbers.

The examples are the same at every run (`derandomize`): two hundred in the ordinary one, ten
thousand in the long one.
"""

import pytest
import torch
from cases import CASES, flat
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernel_cases import NUM_GATES, Case, check
from torch.nn.utils.rnn import pack_padded_sequence

from throughtime import native

DTYPES = st.sampled_from([torch.float64, torch.float32])
# around the widths of vectors and panels, where loops end within one
HIDDEN = st.one_of(st.sampled_from([1, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33]), st.integers(1, 40))


@st.composite
def kernel_calls(draw):
    """A call across the border: with lengths or packed, with resets, and its threads."""
    T, B = draw(st.integers(0, 12)), draw(st.integers(0, 9))
    form = draw(st.sampled_from(["whole", "lengths", "packed"]))
    rows = st.lists(st.integers(0, T), min_size=B, max_size=B)
    lengths = draw(rows) if form == "lengths" else None
    batch_sizes = None
    if form == "packed":
        sizes = draw(st.lists(st.integers(1, max(B, 1)), min_size=1, max_size=max(T, 1)))
        batch_sizes = sorted(sizes, reverse=True)
    case = Case(
        draw(st.sampled_from(list(NUM_GATES))),
        T=T,
        B=B,
        I=draw(st.integers(0, 9)),
        H=draw(HIDDEN),
        D=draw(st.integers(1, 2)),
        dtype=draw(DTYPES),
        batch_first=form != "packed" and draw(st.booleans()),
        batch_sizes=batch_sizes,
        lengths=lengths,
        bias=draw(st.booleans()),
    )
    steps = [(t, b) for b in range(case.B) for t in range(case.length(b))]
    if steps:
        case.resets = draw(st.lists(st.sampled_from(steps), max_size=4, unique=True))
    return case, draw(st.integers(1, 3))


@st.composite
def layer_calls(draw):
    """A call of a layer: the layer, its input with its rows, its state or None, and threads."""
    dtype, batch_first = draw(DTYPES), draw(st.booleans())
    layers, directions = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    T, B, I, H = (
        draw(st.integers(1, 12)),
        draw(st.integers(0, 9)),
        draw(st.integers(1, 9)),
        draw(HIDDEN),
    )
    case, seed = draw(st.sampled_from(CASES)), draw(st.integers(0, 99))
    layer, _ = case.pair(
        seed, input_size=I, hidden_size=H, num_layers=layers, bidirectional=directions == 2,
        bias=draw(st.booleans()), batch_first=batch_first, dtype=dtype,
    )  # fmt: skip
    x = torch.randn(*((B, T) if batch_first else (T, B)), I, dtype=dtype)
    if draw(st.booleans()):  # the same numbers, with gaps between them
        x = torch.stack([x, x], dim=-1)[..., 0]
    form, rows = draw(st.sampled_from(["whole", "lengths", "packed"] if B else ["whole"])), {}
    if form != "whole":
        least = 1 if form == "packed" else 0
        rows["lengths"] = draw(st.lists(st.integers(least, T), min_size=B, max_size=B))
    if form != "packed" and draw(st.booleans()):
        rows["reset"] = torch.rand(x.shape[:2]) < 0.2
    count = 2 if case.name == "lstm" else 1
    state = [torch.randn(layers * directions, B, H, dtype=dtype) for _ in range(count)]
    state = state if draw(st.booleans()) else []
    inputs = [x, *state, *layer.parameters()]
    wanted = draw(st.lists(st.booleans(), min_size=len(inputs), max_size=len(inputs)))
    assume(any(wanted))
    for tensor, is_wanted in zip(inputs, wanted, strict=True):
        tensor.requires_grad_(is_wanted)
    return layer, x, (form == "packed", rows), state, draw(st.integers(1, 3))


def numbers(layer, x, form, state):
    """Outputs, and the gradients of all who want one."""
    given, (is_packed, rows) = x, form
    if is_packed:
        lengths, rows = rows["lengths"], {}
        given = pack_padded_sequence(
            x, lengths, enforce_sorted=False, batch_first=layer.batch_first
        )
    hx = (tuple(state) if len(state) == 2 else state[0]) if state else None
    outputs = flat(layer(given, hx, **rows))
    wanted = [t for t in (x, *state, *layer.parameters()) if t.requires_grad]
    recorded = [out for out in outputs if out.requires_grad]
    gradients = torch.autograd.grad(
        sum((out * out).sum() for out in recorded), wanted, allow_unused=True
    )
    zeros = map(torch.zeros_like, wanted)
    return [*outputs, *(z if g is None else g for z, g in zip(zeros, gradients, strict=True))]


def check_layer(call):
    layer, x, form, state, threads = call
    most = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = numbers(layer, x, form, state)
    finally:
        torch.set_num_threads(most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "refusal", lambda *_: "the test wants the loop")
        theirs = numbers(layer, x, form, state)
    # in float32, roundings of up to 12 steps, 3 layers and 400 terms add up
    tolerance = 1e-10 if x.dtype == torch.float64 else 1e-4
    for a, b in zip(ours, theirs, strict=True):
        scale = max(1.0, b.abs().max().item()) if b.numel() else 1.0
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * scale)


def check_call(call):
    if isinstance(call[0], Case):
        check(*call)
    else:
        check_layer(call)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_any_call_has_the_numbers_of_the_loop(count):
    healthy = [HealthCheck.too_slow, HealthCheck.data_too_large]
    profile = settings(
        max_examples=count, deadline=None, derandomize=True, suppress_health_check=healthy
    )
    profile(given(st.one_of(kernel_calls(), layer_calls()))(check_call))()

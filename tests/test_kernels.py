"""The kernels against the plain loop over the cells and autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from throughtime.cells import GRU, LSTM, Elman
from throughtime.cells.cell import HiddenState, LSTMState
from throughtime.native import _kernels

NUM_GATES = {"elman_tanh": 1, "elman_relu": 1, "lstm": 4, "gru": 3}
NUM_SAVED = {"elman_tanh": 0, "elman_relu": 0, "lstm": 4, "gru": 4}
DTYPES = [torch.float64, torch.float32]
RAGGED = [5, 5, 3, 3, 2, 1]  # rows of every step of a packed sequence

every_cell = pytest.mark.parametrize("cell", list(NUM_GATES))


@pytest.fixture(params=_kernels.variants())
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _kernels.variant()
    _kernels.use_variant(request.param)
    yield request.param
    _kernels.use_variant(before)


class Case(NamedTuple):
    """One run: the cell, the rows of every step, and the tensors it starts from."""

    cell: str
    sizes: list[int]
    z: Tensor  # [N, D, G*H]
    weight_hh: Tensor  # [D, G*H, H]
    bias_hh: Tensor  # [D, G*H]
    h0: Tensor  # [D, B, H]
    c0: Tensor  # [D, B, H]


def make_case(cell: str, sizes: list[int], H: int = 4, D: int = 1, dtype=torch.float64) -> Case:
    torch.manual_seed(0)
    rows, B = NUM_GATES[cell] * H, sizes[0] if sizes else 3
    shapes = [(sum(sizes), D, rows), (D, rows, H), (D, rows), (D, B, H), (D, B, H)]
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    tensors[1] /= H**0.5
    return Case(cell, sizes, *(x.to(dtype).requires_grad_() for x in tensors))


def cell_of(case: Case, d: int):
    weights = (case.weight_hh[d], case.weight_hh[d], None, case.bias_hh[d])
    if case.cell in ("lstm", "gru"):
        return {"lstm": LSTM, "gru": GRU}[case.cell](*weights)
    return Elman(*weights, nonlinearity=case.cell.removeprefix("elman_"))


def run_loop(case: Case) -> list[Tensor]:
    """The definition: y, h_n (and c_n), every row alone, step by step."""
    D, B, _ = case.h0.shape
    first_row = np.cumsum([0, *case.sizes]).tolist()
    y = torch.zeros(first_row[-1], D, case.h0.shape[2], dtype=case.z.dtype)
    last = [torch.zeros_like(case.h0), torch.zeros_like(case.h0)]
    for d, b in np.ndindex(D, B):
        state = (case.h0[d, b], case.c0[d, b])
        steps = [t for t, size in enumerate(case.sizes) if b < size]
        for t in reversed(steps) if d == 1 else steps:
            row = first_row[t] + b
            before = LSTMState(*state) if case.cell == "lstm" else HiddenState(state[0])
            state = [x[0] for x in cell_of(case, d).step(case.z[None, row, d], rows_of(before))]
            y[row, d] = state[0]
        for kept, value in zip(last, state, strict=False):
            kept[d, b] = value
    return [y, *last[: 2 if case.cell == "lstm" else 1]]


def rows_of(state):
    return type(state)(*(x[None] for x in state))


def address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def workspace(case: Case, threads: int) -> Tensor:
    """A workspace of exactly the promised size, full of NaN: nothing may be read unwritten."""
    D, B, H = case.h0.shape
    is_double = case.z.dtype == torch.float64
    elements = _kernels.workspace_elements(case.cell, is_double, B, D, H, threads)
    return torch.full((elements,), float("nan"), dtype=case.z.dtype)


def call(run: Callable[..., None], case: Case, tensors: list[Tensor | None], packed, threads):
    D, B, H = case.h0.shape
    batch_sizes = torch.tensor(case.sizes) if packed else None
    sizes = (address(batch_sizes), len(case.sizes), B, D, H)
    scratch = workspace(case, threads)
    addresses = [address(x) for x in tensors]
    run(case.cell, case.z.dtype == torch.float64, *addresses, *sizes, address(scratch), threads)


def empty_like_states(case: Case) -> tuple[Tensor, Tensor, Tensor | None]:
    """Buffers over time and for the last step: y, h_n, and c_n of an LSTM."""
    D, _, H = case.h0.shape
    y = torch.full((sum(case.sizes), D, H), float("nan"), dtype=case.z.dtype)
    return y, torch.empty_like(case.h0), torch.empty_like(case.c0) if is_lstm(case) else None


def is_lstm(case: Case) -> bool:
    return case.cell == "lstm"


def run_forward(case: Case, packed=True, threads=1, training=True) -> list[Tensor | None]:
    """Gives y, h_n, c_n, c, gates."""
    (N, D, _), H, S = case.z.shape, case.h0.shape[2], NUM_SAVED[case.cell]
    y, h_n, c_n = empty_like_states(case)
    c = torch.empty_like(y) if is_lstm(case) and training else None
    gates = y.new_empty(N, D, S, H) if S and training else None
    outputs = [y, h_n, c_n, c, gates]
    c0 = case.c0 if is_lstm(case) else None
    inputs = [case.z, case.weight_hh, case.bias_hh, case.h0, c0]
    call(_kernels.forward, case, outputs + inputs, packed, threads)
    return outputs


def run_backward(case: Case, saved, gradients, packed=True, threads=1) -> list[Tensor | None]:
    """Gives dz, da, dh0, dc0 from `saved`, what run_forward gave, and dy, dh_n, dc_n."""
    y, _, _, c, gates = saved
    dz, dh0 = torch.empty_like(case.z), torch.empty_like(case.h0)
    da = torch.empty_like(dz) if case.cell == "gru" else None
    dc0 = torch.empty_like(case.c0) if is_lstm(case) else None
    dy, dh_n, *dc_n = gradients
    inputs = [dy, dh_n, dc_n[0] if dc_n else None, y, case.h0, case.c0, c, gates, case.weight_hh]
    call(_kernels.backward, case, [dz, da, dh0, dc0, *inputs], packed, threads)
    return [dz, da, dh0, dc0]


def weight_gradients(case: Case, dz: Tensor, da: Tensor | None, y: Tensor) -> list[Tensor]:
    """What a caller makes of da: dW_hh and db_hh."""
    da = dz if da is None else da
    first_row = np.cumsum([0, *case.sizes]).tolist()
    before = torch.empty_like(y)
    for d, (t, size) in [(d, s) for d in range(y.shape[1]) for s in enumerate(case.sizes)]:
        neighbour = t - 1 if d == 0 else t + 1
        rows = case.sizes[neighbour] if 0 <= neighbour < len(case.sizes) else 0
        carried, start = min(size, rows), first_row[t]
        before[start : start + size, d] = case.h0[d, :size]
        if carried:
            other = first_row[neighbour]
            before[start : start + carried, d] = y[other : other + carried, d]
    return [torch.einsum("ndg,ndh->dgh", da, before), da.sum(0)]


def check(case: Case, packed: bool = True, threads: int = 1) -> None:
    """Outputs and every gradient of the kernel are those of the loop."""
    tolerance = 1e-10 if case.z.dtype == torch.float64 else 1e-5
    expected = run_loop(case)
    gradients = [torch.randn_like(x) for x in expected]
    wanted = [case.z, case.h0, case.weight_hh, case.bias_hh] + [case.c0] * is_lstm(case)
    expected_gradients = torch.autograd.grad(expected, wanted, gradients)
    with torch.no_grad():
        saved = run_forward(case, packed, threads)
        dz, da, dh0, dc0 = run_backward(case, saved, gradients, packed, threads)
        dw, db = weight_gradients(case, dz, da, saved[0])
    got = [x for x in (*saved[:3], dz, dh0, dw, db, dc0) if x is not None]
    for ours, theirs in zip(got, [*expected, *expected_gradients], strict=True):
        scale = max(1.0, theirs.abs().max().item()) if theirs.numel() else 1.0
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * scale)


@every_cell
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("H", [1, 7, 8, 9, 17, 33])
def test_any_number_of_units_gives_the_loops_numbers(variant, cell, dtype, D, H):
    check(make_case(cell, [3, 3, 3, 3, 3], H=H, D=D, dtype=dtype), packed=False)


@every_cell
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("B", [1, 2, 3, 7, 13])
def test_any_number_of_rows_gives_the_loops_numbers(variant, cell, dtype, B):
    check(make_case(cell, [B] * 4, H=5, dtype=dtype), packed=False)


@every_cell
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("D", [1, 2])
def test_packed_rows_end_and_start_where_the_loop_does(variant, cell, D, threads):
    check(make_case(cell, RAGGED, H=9, D=D), threads=threads)


@every_cell
def test_sums_deeper_than_a_block_give_the_loops_numbers(variant, cell):
    check(make_case(cell, [2, 2], H=421))


@every_cell
@pytest.mark.parametrize("B", [1, 5])
@pytest.mark.parametrize("D", [1, 2])
def test_the_number_of_threads_changes_no_bit(variant, cell, B, D):
    case = make_case(cell, [B] * 20, H=70, D=D, dtype=torch.float32)
    runs = []
    for threads in (1, 2, 2, 4):
        saved = run_forward(case, threads=threads)
        gradients = run_backward(case, saved, [saved[0], None], threads=threads)
        runs.append([x for x in saved + gradients if x is not None])
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))


@every_cell
@pytest.mark.parametrize("D", [1, 2])
def test_inference_gives_the_bits_of_training(variant, cell, D):
    case = make_case(cell, RAGGED, H=9, D=D)
    trained, inferred = run_forward(case), run_forward(case, training=False)
    for a, b in zip(trained[:3], inferred[:3], strict=True):
        assert a is b is None or torch.equal(a, b)


@every_cell
@pytest.mark.parametrize("sizes", [[], [0, 0]])
def test_without_steps_or_rows_the_states_pass_through(variant, cell, sizes):
    case = make_case(cell, sizes)
    saved = run_forward(case, packed=False)
    _, _, dh0, _ = run_backward(case, saved, [None, case.c0], packed=False)
    assert torch.equal(saved[1], case.h0) and torch.equal(dh0, case.c0)


@every_cell
def test_a_gradient_that_is_not_there_counts_as_zero(cell):
    case = make_case(cell, RAGGED)
    saved = run_forward(case)
    zeros = [torch.zeros_like(saved[0]), torch.zeros_like(case.h0), torch.zeros_like(case.h0)]
    absent, present = (run_backward(case, saved, g) for g in ([None] * 3, zeros))
    for a, b in zip(absent, present, strict=True):
        assert a is b is None or torch.equal(a, b)


@every_cell
def test_a_nan_reaches_its_row_and_no_other(variant, cell):
    case = make_case(cell, [3] * 4, H=9, D=2)
    with torch.no_grad():
        case.z[4, 0, 2] = float("nan")  # t = 1, row 1, forward
    y = run_forward(case, packed=False)[0].isnan().view(4, 3, 2, 9)
    expected = torch.zeros_like(y)
    expected[1, 1, 0, 2], expected[2:, 1, 0] = True, True
    assert torch.equal(y, expected)


@every_cell
def test_buffers_are_left_alone_beyond_their_ends(variant, cell):
    case = make_case(cell, [3, 3], H=5, dtype=torch.float32)
    room = torch.full((6 * 5 + 16,), 7.0)
    _, h_n, c_n = empty_like_states(case)
    inputs = [case.z, case.weight_hh, case.bias_hh, case.h0, case.c0]
    call(_kernels.forward, case, [room, h_n, c_n, None, None, *inputs], False, 1)
    assert (room[30:] == 7).all() and not (room[:30] == 7).any()


FUNCTIONS = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
every_function = pytest.mark.parametrize("function", list(FUNCTIONS))
every_type = pytest.mark.parametrize("real", [np.float32, np.float64])


def evaluate(function: str, x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    is_double = x.dtype == np.float64
    getattr(_kernels, function)(out.ctypes.data, x.ctypes.data, x.size, is_double)
    return out


@every_function
@every_type
def test_functions_are_accurate_relative_to_their_value(variant, function, real):
    near_zero = np.geomspace(1e-30, 1, 20_001)
    x = np.concatenate([np.linspace(-87, 87, 200_002), near_zero, -near_zero]).astype(real)
    expected = FUNCTIONS[function](x.astype(np.longdouble))
    error = np.abs((evaluate(function, x) - expected) / expected)
    assert error.max() < (4e-7 if real is np.float32 else 1e-15)


@every_function
@every_type
def test_functions_never_leave_their_range_nor_turn_back(variant, function, real):
    x = np.linspace(-800, 800, 400_001).astype(real)
    y = evaluate(function, x)
    assert y.min() >= (-1 if function == "tanh" else 0) and y.max() <= 1
    assert (np.diff(y) >= -2 * np.finfo(real).eps * np.abs(y[1:])).all()


@every_function
@every_type
def test_functions_keep_nan_and_reach_their_limits(variant, function, real):
    x = np.array([np.nan, np.inf, -np.inf, 0.0], dtype=real)
    low, middle = (-1, 0) if function == "tanh" else (0, 0.5)
    np.testing.assert_array_equal(evaluate(function, x), [np.nan, 1, low, middle])


def test_tanh_keeps_the_sign_of_zero(variant):
    assert np.signbit(evaluate("tanh", np.array([-0.0], dtype=np.float32)))[0]


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"avx2|plain|neon"):
        _kernels.use_variant("abacus")
    with pytest.raises(ValueError, match="lstm or gru, got 'mamba'"):
        _kernels.workspace_elements("mamba", True, 1, 1, 1, 1)


def test_small_steps_run_on_one_thread_and_large_ones_on_all():
    assert _kernels.choose_threads("lstm", 1, 1, 8, 2) == 1
    assert _kernels.choose_threads("lstm", 32, 1, 512, 2) == 2
    assert _kernels.choose_threads("lstm", 32, 2, 512, 1) == 1

"""The kernels against the plain loop over the cells and autograd."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from kernel_cases import NAN, NUM_GATES, Case, Kernel, check

from throughtime.native import _kernels

DTYPES = [torch.float64, torch.float32]
RAGGED = [5, 5, 3, 3, 2, 1]  # rows of every step of a packed sequence

every_cell = pytest.mark.parametrize("cell", list(NUM_GATES))
both_directions = pytest.mark.parametrize("D", [1, 2])


@pytest.fixture(params=_kernels.variants())
def variant(request):
    before = _kernels.variant()
    _kernels.use_variant(request.param)
    yield request.param
    _kernels.use_variant(before)


@every_cell
@both_directions
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("H", [1, 7, 8, 9, 17, 33])
def test_any_number_of_units_gives_the_loops_numbers(variant, cell, dtype, D, H):
    check(Case(cell, H=H, D=D, dtype=dtype))


@every_cell
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("B", [1, 2, 7, 13])
@pytest.mark.parametrize("I", [1, 5, 16, 19])
def test_any_number_of_rows_and_inputs_gives_the_loops_numbers(variant, cell, dtype, B, I):
    check(Case(cell, B=B, I=I, H=5, dtype=dtype))


@every_cell
@both_directions
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_packed_rows_end_and_start_where_the_loop_does(variant, cell, D, threads):
    check(Case(cell, batch_sizes=RAGGED, H=9, D=D), threads)


@every_cell
@both_directions
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_that_share_rows_give_the_loops_numbers(variant, cell, D, threads):
    lengths = [25, 3, 0, 25, 24, 7, 7, 8, 25, 1, 2, 25, 16]
    check(Case(cell, T=25, B=13, H=9, D=D, lengths=lengths), threads)
    resets = [(3, 0), (20, 0), (1, 5), (5, 12)]
    check(Case(cell, T=25, B=13, H=9, D=D, lengths=lengths, resets=resets), threads)


@every_cell
@both_directions
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[2, 5, 0, 3], [0, 0, 0, 0], [5, 5, 5, 5], [1, 4, 2, 5]])
def test_lengths_come_in_any_order(variant, cell, D, batch_first, lengths):
    check(Case(cell, B=4, H=9, D=D, lengths=lengths, batch_first=batch_first), threads=2)


@every_cell
@both_directions
@pytest.mark.parametrize("lengths", [None, [4, 5, 2]])
@pytest.mark.parametrize("resets", [[(0, 1), (2, 0), (2, 1)], [(4, 1), (1, 2), (3, 2), (1, 1)]])
def test_a_reset_begins_afresh(variant, cell, D, lengths, resets):
    check(Case(cell, H=9, D=D, lengths=lengths, resets=resets), threads=2)


@every_cell
@both_directions
def test_packed_rows_are_reset_too(cell, D):
    check(Case(cell, batch_sizes=RAGGED, H=9, D=D, resets=[(1, 0), (3, 2), (2, 1), (0, 4)]))


@every_cell
@both_directions
def test_batch_first_is_only_another_order_of_places(variant, cell, D):
    check(Case(cell, H=5, D=D, batch_first=True))


@every_cell
def test_a_layer_without_biases_has_no_gradients_of_them(variant, cell):
    check(Case(cell, D=2, bias=False))


@every_cell
@pytest.mark.parametrize(("T", "B"), [(300, 2), (3, 300), (400, 1)])
def test_sequences_longer_than_a_block_give_the_loops_numbers(cell, T, B):
    check(Case(cell, T=T, B=B, H=3), threads=2)


@every_cell
def test_sums_deeper_than_a_block_give_the_loops_numbers(variant, cell):
    check(Case(cell, T=2, B=2, H=421, I=307))


@every_cell
def test_a_layer_without_inputs_is_its_recurrence(cell):
    check(Case(cell, I=0))


@every_cell
@both_directions
@pytest.mark.parametrize(("B", "H"), [(1, 70), (5, 70), (13, 35)])
def test_the_number_of_threads_changes_no_bit(variant, cell, B, H, D):
    case = Case(cell, T=25, B=B, I=40, H=H, D=D, dtype=torch.float32)
    runs = []
    for threads in (1, 2, 2, 4):
        kernel = Kernel(case, threads)
        outputs = kernel.forward()
        runs.append([*outputs, *kernel.backward(outputs, [outputs[0], None])])
    for run in runs[1:]:
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))


@every_cell
@both_directions
def test_inference_gives_the_bits_of_training(variant, cell, D):
    kernel = Kernel(Case(cell, batch_sizes=RAGGED, H=9, D=D))
    trained, inferred = kernel.forward(), kernel.forward(training=False)
    for a, b in zip(trained[:3], inferred[:3], strict=True):
        assert a is b is None or torch.equal(a, b)


@every_cell
def test_absent_states_are_zeros(variant, cell):
    case = Case(cell, resets=[(2, 1)])
    absent = Kernel(case).forward(states=[None], fresh=[None])
    for tensor in (*case.states, *case.fresh):
        tensor.zero_()
    zeros = Kernel(case).forward()
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(absent, zeros, strict=True))


@every_cell
@pytest.mark.parametrize(("T", "B"), [(0, 3), (2, 0)])
def test_without_steps_or_rows_the_states_pass_through(variant, cell, T, B):
    case = Case(cell, T=T, B=B)
    kernel = Kernel(case)
    outputs = kernel.forward()
    gradients = kernel.backward(outputs, [None, case.states[-1]])
    assert torch.equal(outputs[1], case.states[0])
    assert torch.equal(gradients[1], case.states[-1])
    assert all((g == 0).all() for g in gradients[1 + 2 * case.num_states :])


@every_cell
def test_a_gradient_that_is_not_there_counts_as_zero(cell):
    case = Case(cell, batch_sizes=RAGGED)
    kernel = Kernel(case)
    outputs = kernel.forward()
    zeros = [torch.zeros_like(outputs[0]), *map(torch.zeros_like, case.states)]
    absent, present = (kernel.backward(outputs, g) for g in ([None], zeros))
    assert all(torch.equal(a, b) for a, b in zip(absent, present, strict=True))


@every_cell
def test_a_nan_reaches_its_row_and_no_other(variant, cell):
    case = Case(cell, T=4, H=9, D=2)
    case.x[4, 0] = NAN  # t = 1, row 1
    y = Kernel(case).forward()[0].isnan().view(4, 3, 2, 9)
    expected = torch.zeros_like(y)
    expected[1:, 1, 0], expected[:2, 1, 1] = True, True
    assert torch.equal(y, expected)


@every_cell
@both_directions
def test_padding_is_neither_read_nor_written(variant, cell, D):
    case = Case(cell, T=6, B=4, H=9, D=D, lengths=[2, 6, 0, 5])
    padding = sorted(set(range(24)) - set(case.places()))
    case.x[padding] = NAN
    kernel = Kernel(case)
    outputs = kernel.forward()
    dy = torch.randn_like(outputs[0])
    dy[padding] = NAN
    gradients = kernel.backward(outputs, [dy])
    assert not any(gradient.isnan().any() for gradient in gradients)
    assert outputs[0][padding].isnan().all() and (gradients[0][padding] == 0).all()


@every_cell
def test_buffers_are_left_alone_beyond_their_ends(variant, cell):
    case = Case(cell, T=2, H=5, dtype=torch.float32)
    room = torch.full((6 * 5 + 16,), 7.0)
    Kernel(case).forward(y=room)
    assert (room[30:] == 7).all() and not (room[:30] == 7).any()


@every_cell
def test_changed_weights_are_packed_again(variant, cell):
    case = Case(cell, H=9)
    kernel = Kernel(case)
    kernel.backward(kernel.forward(), [None])
    for weight in case.weights:
        weight.data[-1] *= 1.5
        outputs, fresh = kernel.forward(), Kernel(case).forward()
        assert torch.equal(outputs[0], fresh[0])
        gradients = (k.backward(outputs, [outputs[0]]) for k in (kernel, Kernel(case)))
        assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_changes_of_one_bit_never_cancel(variant, dtype):
    case = Case("elman_tanh", T=2, B=1, I=3, H=32, dtype=dtype)
    kernel, words = Kernel(case), case.weights[1].view(torch.int32).view(-1)
    for bit in range(32):
        for distance in (16, 32, 64, 128):
            words[[bit, bit + distance]] ^= torch.tensor(1 << bit, dtype=torch.int64).int()
            ours, fresh = kernel.forward()[0], Kernel(case).forward()[0]
            assert torch.equal(ours.view(torch.int32), fresh.view(torch.int32))


@every_cell
def test_threads_of_python_share_one_layer(cell):
    case = Case(cell, T=50, H=40)
    kernel = Kernel(case, threads=2)
    expected, found = kernel.forward()[0], []
    threads = [
        threading.Thread(target=lambda: found.extend(kernel.forward()[0] for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160 and all(torch.equal(y, expected) for y in found)


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
    assert (np.diff(y) >= 0).all()


@every_function
@every_type
def test_functions_keep_nan_and_reach_their_limits(variant, function, real):
    x = np.array([np.nan, np.inf, -np.inf, 0.0], dtype=real)
    low, middle = (-1, 0) if function == "tanh" else (0, 0.5)
    np.testing.assert_array_equal(evaluate(function, x), [np.nan, 1, low, middle])


def test_tanh_keeps_the_sign_of_zero(variant):
    assert np.signbit(evaluate("tanh", np.array([-0.0], dtype=np.float32)))[0]


def test_addresses_are_counted():
    kernel = Kernel(Case("gru"))
    with pytest.raises(ValueError, match="weights must be 8 addresses, got 3"):
        kernel.layer.forward([0] * 3, [0] * 15, kernel.sequence, 1)
    with pytest.raises(ValueError, match="tensors must be 15 addresses, got 9"):
        kernel.layer.forward([0] * 8, [0] * 9, kernel.sequence, 1)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"avx2|plain|neon"):
        _kernels.use_variant("abacus")
    with pytest.raises(ValueError, match="elman or gru_reset_before, got 'mamba'"):
        _kernels.Layer("mamba", True, 1, 1, 1)
    with pytest.raises(ValueError, match="hardtanh or softsign, got 'step'"):
        _kernels.Layer("elman", True, 1, 1, 1, "step")


def test_small_steps_run_on_one_thread_and_large_ones_on_all():
    assert _kernels.choose_threads("lstm", 100, 1, 1, 8, 2) == 1
    assert _kernels.choose_threads("lstm", 1, 1, 1, 64, 2) == 1
    assert _kernels.choose_threads("lstm", 100, 32, 1, 512, 2) == 2
    assert _kernels.choose_threads("lstm", 100, 32, 2, 512, 1) == 1

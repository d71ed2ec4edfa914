"""Python threads at once: every number is the one that a thread alone gives."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from cases import CASES, flat, name_of, worst_error

import throughtime as tt

T, B, I, H = 20, 8, 16, 48  # enough work for two threads within a call
ROUNDS, CALLERS = 5, 8

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)


@pytest.fixture(params=[1, 2])
def threads_of_a_call(request):
    most = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(most)


@pytest.fixture
def training():
    """Another layer, whose weights an optimizer changes all the while."""
    layer = tt.GRU(I, H)
    optimizer, x = torch.optim.SGD(layer.parameters(), lr=0.1), torch.randn(T, B, I)
    is_over, errors = threading.Event(), []

    def train():
        while not is_over.is_set():
            try:
                optimizer.zero_grad()
                layer(x)[0].square().sum().backward()
                optimizer.step()
            except Exception as error:
                errors.append(error)
                return

    thread = threading.Thread(target=train)
    thread.start()
    yield layer
    is_over.set()
    thread.join(60)
    assert not thread.is_alive() and not errors


def at_once(work, callers=CALLERS):
    """What work(0), work(1), ... give in as many threads, which start together."""
    start = threading.Barrier(callers)

    def run(index):
        start.wait(60)
        return [work(index) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(callers) as pool:
        jobs = [pool.submit(run, index) for index in range(callers)]
        return [job.result(timeout=60) for job in jobs]


def assert_all_equal(found, expected):
    for rounds, wanted in zip(found, expected, strict=True):
        for got in rounds:
            assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


def inferred(layer, x):
    with torch.no_grad():
        return flat(layer(x))


def differentiated(layer, x):
    x = x.clone().requires_grad_()
    y = layer(x)[0]
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


@each_case
@pytest.mark.parametrize("work", [inferred, differentiated])
@pytest.mark.parametrize("layers", [1, CALLERS])
def test_callers_of_layers_get_their_own_numbers(case, work, layers, threads_of_a_call, training):
    shared = [case.pair(s, input_size=I, hidden_size=H, dtype=None)[0] for s in range(layers)]
    rows = torch.randn(CALLERS, T, B, I)
    expected = [work(shared[index % layers], rows[index]) for index in range(CALLERS)]
    found = at_once(lambda index: work(shared[index % layers], rows[index]))
    assert_all_equal(found, expected)


def test_sessions_of_their_own_keep_their_own_state(training):
    model, steps = tt.LSTM(I, H), np.random.default_rng(0).normal(size=(CALLERS, T, I))
    sessions = [tt.stream(model) for _ in range(CALLERS)]

    def unroll(index):
        sessions[index].reset()
        return [torch.from_numpy(sessions[index].step(x)) for x in steps[index].astype(np.float32)]

    expected = [unroll(index) for index in range(CALLERS)]
    assert_all_equal(at_once(unroll), expected)


@pytest.mark.parametrize("hidden", [H, 256])  # steps that keep the interpreter, and that leave it
def test_snapshots_and_resets_stand_between_the_steps_of_a_shared_session(hidden, training):
    rows, x = 3, np.ones((3, I), np.float32)
    model = tt.LSTM(I, hidden, num_layers=2)
    alone, shared = tt.stream(model, rows), tt.stream(model, rows)
    most = 4 * ROUNDS
    moments = [alone.snapshot().numbers]
    for _ in range(most):
        alone.step(x)
        moments.append(alone.snapshot().numbers)
    known = {moment.tobytes() for moment in moments}
    beginning, halfway = (
        shared.snapshot(),
        tt.stream(model, rows).snapshot()._replace(numbers=moments[most // 2]),
    )

    def work(index):
        if index == 4:
            shared.reset()
        elif index == 5:
            shared.restore(beginning)
        elif index == 6:
            shared.restore(halfway)
        elif index < 2:
            shared.step(x)
        return shared.snapshot().numbers.tobytes()

    seen = {moment for rounds in at_once(work) for moment in rounds}
    assert seen <= known


@each_case
def test_a_layer_written_during_calls_has_its_numbers_back_when_they_are(case):
    ours, _ = case.pair(input_size=I, hidden_size=H)
    x, weights = torch.randn(T, B, I, dtype=torch.float64), copy.deepcopy(ours.state_dict())
    expected = inferred(ours, x)
    others = {name: -weight for name, weight in weights.items()}

    def work(index):
        if index == 0:
            ours.load_state_dict(others)
            ours.load_state_dict(weights)
        else:
            inferred(ours, x)

    at_once(work, 4)
    ours.load_state_dict(weights)
    assert all(torch.equal(a, b) for a, b in zip(inferred(ours, x), expected, strict=True))


@each_case
def test_more_threads_than_processors_give_the_same_numbers(case):
    ours, theirs = case.pair(input_size=I, hidden_size=H, bidirectional=True)
    x, most = torch.randn(T, B, I, dtype=torch.float64), torch.get_num_threads()
    expected = differentiated(theirs, x)
    torch.set_num_threads(16)
    try:
        found = [differentiated(ours, x) for _ in range(3)]
    finally:
        torch.set_num_threads(most)
    assert all(worst_error(got, expected) < 1e-10 for got in found)

"""Layers on top of each other that run at the same time."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, flat, name_of, packed

from throughtime.native import _kernels, kernels

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def waves(monkeypatch):
    """The results of every wave; one is run wherever the layers allow."""
    found = []
    run = kernels.forward_wave

    def recorded(*args):
        found.append(run(*args))
        return found[-1]

    monkeypatch.setattr("throughtime.native.layer.forward_wave", recorded)
    monkeypatch.setattr(_kernels, "choose_wave_threads", lambda *sizes: 2)
    return found


@each_case
@pytest.mark.parametrize("num_layers", [2, 3, 4])
@pytest.mark.parametrize("form", ["batch", "lengths", "packed"])
@pytest.mark.parametrize("has_state", [False, True])
def test_a_wave_gives_the_bits_of_one_layer_after_the_other(
    case, num_layers, form, has_state, two_threads, waves
):
    ours, _ = case.pair(num_layers=num_layers)
    x = packed([41, 5, 40]) if form == "packed" else torch.randn(41, 3, 2, dtype=torch.float64)
    rows = {"lengths": [5, 41, 0], "reset": torch.rand(41, 3) < 0.1} if form == "lengths" else {}
    final = ours(x)[1]
    hx = final if has_state else None
    expected = flat(ours(x, hx, **rows))
    assert not waves  # gradients are recorded: layer after layer
    with torch.no_grad():
        found = flat(ours(x, hx, **rows))
    assert len(waves) == 1
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"dropout": 0.5}, {"num_layers": 1}])
def test_what_cannot_run_at_once_runs_layer_after_layer(options, two_threads, waves):
    ours, _ = CASES[2].pair(**{"num_layers": 2, **options})
    with torch.no_grad():
        ours(torch.randn(5, 3, 2, dtype=torch.float64))
    assert not any(waves)


def test_layers_of_an_uneven_number_leave_no_thread_behind():
    def threads(layers, most, B=1, H=64):
        return _kernels.choose_wave_threads("lstm", 100, B, H, layers, most)

    assert [threads(layers, 4) for layers in (2, 3, 4, 5, 6)] == [2, 3, 4, 1, 3]
    assert threads(2, 2) == 2 and threads(2, 1) == 1
    assert threads(2, 2, H=200) == 1  # too many weights for one thread's cache
    assert threads(2, 2, B=32) == 1  # enough rows to share

"""The adding problem and copy memory are what their papers say, and the same at every draw."""

import numpy as np
import pytest
import torch

from throughtime.data.adding import ADDING_BASELINE, adding
from throughtime.data.copying import BLANK, ENTRIES, LENGTH, MARK, copying, copying_baseline

T, B = 11, 500
DRAWS = pytest.mark.parametrize("draw", [adding, copying])


@DRAWS
def test_a_batch_is_a_function_of_seed_and_step_alone(draw):
    np.random.seed(1), torch.manual_seed(1)
    first = draw(T, B, 3, 7)
    np.random.seed(2), torch.manual_seed(2)
    assert all(map(torch.equal, first, draw(T, B, 3, 7)))


@DRAWS
def test_another_seed_or_step_is_another_batch(draw):
    batches = [draw(T, B, seed, step)[0] for seed, step in ((3, 7), (3, 8), (4, 7), (7, 3))]
    assert not any(torch.equal(a, b) for i, a in enumerate(batches) for b in batches[:i])


def test_one_number_is_marked_in_each_half_and_the_target_is_their_sum():
    x, target = adding(T, B, 1, 0)
    assert x.shape == (T, B, 2) and x.dtype == target.dtype == torch.float32
    values, marks = x.unbind(-1)
    assert torch.equal(marks[: T // 2].sum(0), torch.ones(B))
    assert torch.equal(marks[T // 2 :].sum(0), torch.ones(B))
    rows = zip(values.T, marks.T, strict=True)
    added = [sum(v for v, m in zip(*row, strict=True) if m) for row in rows]
    torch.testing.assert_close(target, torch.stack(added))


def test_every_step_is_marked_in_some_row_and_values_fill_the_unit_interval():
    x = adding(T, B, 1, 0)[0]
    assert x[..., 1].sum(1).min() > 0
    assert x[..., 0].min() >= 0 and x[..., 0].max() < 1
    assert x[..., 0].mean() == pytest.approx(0.5, abs=0.02)


def test_the_baseline_of_adding_is_the_error_of_answering_one():
    target = adding(4, 200_000, 1, 0)[1]
    assert ((target - 1) ** 2).mean() == pytest.approx(ADDING_BASELINE, abs=2e-3)


def test_the_symbols_come_first_and_are_asked_for_after_the_wait():
    inputs, targets = copying(T, B, 1, 0)
    assert inputs.shape == targets.shape == (T + 20, B)
    assert torch.equal(inputs[:LENGTH], targets[-LENGTH:])
    assert sorted(inputs[:LENGTH].unique().tolist()) == list(range(8))
    rest = torch.full((T + 10, B), BLANK)
    assert torch.equal(targets[: T + 10], rest)
    rest[T - 1] = MARK
    assert torch.equal(inputs[LENGTH:], rest) and inputs.max() < ENTRIES


def test_the_baseline_of_copying_is_the_loss_of_the_best_answer_without_memory():
    _, targets = copying(T, B, 1, 0)
    logits = torch.full((T + 20, B, ENTRIES), -1e9)
    logits[: T + 10, :, BLANK] = 0
    logits[T + 10 :, :, :BLANK] = 0
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert loss.item() == pytest.approx(copying_baseline(T), rel=1e-5)

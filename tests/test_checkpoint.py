import errno
import os
import pickle
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from throughtime.bptt import Carry
from throughtime.errors import RunError
from throughtime.generators import capture_generators, restore_generators, seed_generators
from throughtime.record import CHECKPOINT
from throughtime.training.checkpoint import Position, load_checkpoint, save_checkpoint
from throughtime.training.options import TrainingOptions
from throughtime.training.schedule import LOWEST, learning_rate


def network():
    made = nn.LSTM(2, 4)
    return made, torch.optim.AdamW(made.parameters(), 0.1)


def draws():
    return random.random(), np.random.rand(), np.random.randn(), torch.rand(3).tolist()


def test_position_weights_and_optimizer_come_back(tmp_path):
    (net, optimizer), (again, fresh) = network(), network()
    net(torch.ones(5, 3, 2))[0].sum().backward()
    optimizer.step()
    at = Position(
        update=7, carry=Carry((torch.ones(1, 3, 4), torch.zeros(1, 3, 4)), torch.ones(2, 3))
    )
    at.best, at.misses, at.metrics_bytes = 1.5, 2, 99
    save_checkpoint(tmp_path, net, optimizer, at)
    found = load_checkpoint(tmp_path, again, fresh)
    assert (found.update, found.best, found.misses, found.metrics_bytes) == (7, 1.5, 2, 99)
    assert torch.equal(found.carry.state[0], at.carry.state[0])
    assert torch.equal(again.weight_hh_l0, net.weight_hh_l0)
    assert fresh.state_dict()["state"][0]["step"] == 1


def test_random_numbers_go_on_where_they_were():
    seed_generators(3)
    draws()
    state = capture_generators()
    expected = draws()
    restore_generators(state)
    assert draws() == expected


def test_a_hostile_checkpoint_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    for write in (
        partial(pickle.dumps, protocol=2),
        lambda x: torch.save(x, tmp_path / CHECKPOINT),
    ):
        if content := write({"format": 1, "model": Hostile()}):
            (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(RunError, match=r"must be a checkpoint of this run, .*UnpicklingError"):
            load_checkpoint(tmp_path, *network())
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    save_checkpoint(tmp_path, *network(), Position())
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RunError, match="must be a checkpoint of this run"):
        load_checkpoint(tmp_path, *network())


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path, *network(), Position())
    other = nn.LSTM(2, 5)
    with pytest.raises(RunError, match="size mismatch for "):
        load_checkpoint(tmp_path, other, torch.optim.AdamW(other.parameters()))


def test_an_empty_checkpoint_is_said_to_be_empty(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"")
    with pytest.raises(RunError, match=r"it holds nothing|[Rr]an out of input"):
        load_checkpoint(tmp_path, *network())


def test_a_newer_or_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"must hold checkpoint\.pt"):
        load_checkpoint(tmp_path, *network())
    torch.save({"format": 99}, tmp_path / CHECKPOINT)
    with pytest.raises(RunError, match="it is of format 99; update throughtime"):
        load_checkpoint(tmp_path, *network())


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    net, optimizer = network()
    save_checkpoint(tmp_path, net, optimizer, Position(update=1))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, pytest.raises(RunError, match="No space left"):
        patched.setattr(os, "fsync", full)
        save_checkpoint(tmp_path, net, optimizer, Position(update=2))
    assert load_checkpoint(tmp_path, net, optimizer).update == 1


def test_the_cosine_rises_to_the_highest_rate_and_ends_at_its_share():
    options = TrainingOptions(lr=0.5, warmup=10, epochs=4)
    rates = [learning_rate(options, update, windows=25) for update in range(100)]
    assert rates[:10] == pytest.approx([0.05 * i for i in range(1, 11)])
    assert max(rates) == 0.5 and rates[-1] == pytest.approx(0.5 * LOWEST)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_run_shorter_than_its_warm_up_still_falls():
    options = TrainingOptions(lr=1.0, warmup=100, epochs=1)
    rates = [learning_rate(options, update, windows=8) for update in range(8)]
    assert max(rates) == 1.0 and rates[-1] == pytest.approx(LOWEST)


def test_the_step_schedule_halves_after_the_epochs_before_it():
    options = TrainingOptions(lr=20, schedule="step", decay=0.5, decay_after=4, epochs=13)
    by_epoch = [learning_rate(options, 10 * epoch, windows=10) for epoch in range(13)]
    assert by_epoch == [20 * 0.5 ** max(0, epoch - 4) for epoch in range(1, 14)]


def test_the_constant_schedule_never_changes():
    options = TrainingOptions(lr=0.3, schedule="constant")
    assert {learning_rate(options, update, 5) for update in range(50)} == {0.3}

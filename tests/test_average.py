"""The average of the weights is the mean over updates that it says, and stays out of training."""

import pytest
import torch
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    tiny_options,
)
from torch import nn

from throughtime import record
from throughtime.errors import OptionError, RunError
from throughtime.tasks.language_model import resume, train
from throughtime.training.average import averaged, take_in
from throughtime.training.options import LoopOptions


def test_the_average_is_the_weighted_mean_of_all_updates():
    network, average, decay = nn.Linear(3, 2).double(), None, 0.7
    seen = []
    for update in range(1, 9):
        for weight in network.parameters():
            nn.init.normal_(weight)
        seen.append([weight.detach().clone() for weight in network.parameters()])
        average = take_in(average, network, decay, update)
    shares = decay ** torch.arange(7, -1, -1, dtype=torch.float64)
    for place, mean in enumerate(average):
        values = torch.stack([weights[place] for weights in seen])
        expected = torch.tensordot(shares / shares.sum(), values, dims=1)
        torch.testing.assert_close(mean, expected)


def test_weights_come_back_to_the_bit_even_after_an_error():
    network = nn.Linear(3, 2)
    own = [weight.detach().clone() for weight in network.parameters()]
    average = [weight.detach() / 3 for weight in network.parameters()]
    with pytest.raises(KeyError), averaged(network, average):
        assert all(map(torch.equal, network.parameters(), average))
        raise KeyError
    assert all(map(torch.equal, network.parameters(), own))


def test_averaging_changes_what_is_kept_and_nothing_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)
    content = {}
    for name, decay in (("plain", 0.0), ("mean", 0.9)):
        train(tiny_options(tmp_path, average=decay), tmp_path / name, quiet)
        content[name] = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
    for name, value in content["plain"]["model"].items():
        assert torch.equal(content["mean"]["model"][name], value)
    assert losses(tmp_path / "plain") != losses(tmp_path / "mean")  # of validations
    read = [record.read_weights(tmp_path / name) for name in ("plain", "mean")]
    assert any(not torch.equal(read[0][name], read[1][name]) for name in read[0])


def test_an_average_of_other_shapes_is_refused_with_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)
    train(tiny_options(tmp_path, average=0.9), tmp_path / "run", quiet)
    file = tmp_path / "run" / "checkpoint.pt"
    content = torch.load(file, weights_only=True)
    torch.save(content | {"average": [mean[:1] for mean in content["average"]]}, file)
    with pytest.raises(RunError, match=r"checkpoint\.pt.*other shapes"):
        resume(tmp_path / "run", quiet)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(OptionError, match="average"):
        LoopOptions(average=decay)

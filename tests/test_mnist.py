"""Sequential MNIST: what is read in which order, learnt, scored and gone on with to the bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mnist_files import HELD_OUT, TEST, TRAIN, draw_digits, idx, tiny_mnist, write_digits
from test_resume import Killed, kill, stop_at
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    weight_bytes,
)

from throughtime import record
from throughtime.data.mnist import read_digits
from throughtime.errors import DataError, OptionError, RunError
from throughtime.layers import unroll
from throughtime.tasks import mnist
from throughtime.tasks.mnist import Shuffled, scale_of, to_sequences
from throughtime.tasks.mnist_options import (
    ImageOptions,
    MnistModel,
    MnistOptions,
    read_mnist_options,
)
from throughtime.tasks.network import Network


@pytest.fixture(autouse=True)
def few_held_out_without_curves(monkeypatch):
    """Twelve images are kept for validation, and nothing is drawn."""
    monkeypatch.setattr(mnist, "HELD_OUT", HELD_OUT)
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


@pytest.fixture
def folder(tmp_path):
    return write_digits(tmp_path / "mnist")


@pytest.mark.parametrize("by", ["rows", "pixels"])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(by, folder, tmp_path, monkeypatch):
    options = tiny_mnist(folder, by, model={"dropout": 0.3, "layers": 2})
    mnist.train(options, tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 11, kill)
        mnist.train(options, tmp_path / "run", quiet)
    mnist.resume(tmp_path / "run", quiet)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert weight_bytes(tmp_path / "run") == weight_bytes(tmp_path / "whole")


def test_two_workers_read_the_same_batches(folder, tmp_path):
    for workers in (0, 2):
        mnist.train(tiny_mnist(folder, workers=workers), tmp_path / str(workers), quiet)
    assert weight_bytes(tmp_path / "0") == weight_bytes(tmp_path / "2")


def test_pixels_are_the_rows_one_after_another(folder):
    digits = read_digits(folder, "train")
    (rows, labels), (pixels, same) = (
        to_sequences(digits, ImageOptions(by=by), scale_of(digits)) for by in ("rows", "pixels")
    )
    assert rows.shape == (28, TRAIN, 28) and pixels.shape == (784, TRAIN, 1)
    assert torch.equal(rows[3, 4], pixels[84:112, 4, 0])
    assert torch.equal(labels, same) and labels.tolist() == digits.labels.tolist()


def test_pixels_of_the_training_images_have_mean_zero_and_deviation_one(folder):
    digits = read_digits(folder, "train")
    x = to_sequences(digits, ImageOptions(), scale_of(digits))[0].double()
    assert x.mean() == pytest.approx(0, abs=1e-6) and x.std() == pytest.approx(1, abs=1e-4)
    blank = replace(digits, images=0 * digits.images)
    assert not to_sequences(blank, ImageOptions(), scale_of(blank))[0].any()


def test_an_epoch_shows_every_image_once_in_its_own_order(folder):
    digits = read_digits(folder, "train")
    batches = Shuffled(digits, tiny_mnist(folder, batch=53), scale_of(digits))
    assert len(batches) == 2 * 4
    epochs = [
        torch.cat([batches[u][0] for u in range(first, first + 4)], dim=1) for first in (0, 4)
    ]
    whole, _ = to_sequences(digits, ImageOptions(), scale_of(digits))
    shown = [[image.numpy().tobytes() for image in x.unbind(1)] for x in (*epochs, whole)]
    assert sorted(shown[0]) == sorted(shown[1]) == sorted(shown[2])
    assert shown[0] != shown[1] and shown[0] != shown[2]


def test_images_held_out_change_no_weight(folder, tmp_path):
    mnist.train(tiny_mnist(folder), tmp_path / "one", quiet)
    images, _ = draw_digits(TRAIN, seed=TRAIN)
    images[-HELD_OUT:] = 7
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx(images))
    mnist.train(tiny_mnist(folder), tmp_path / "other", quiet)
    one, other = (torch.load(tmp_path / r / "checkpoint.pt") for r in ("one", "other"))
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    validations = [
        [line for line in losses(tmp_path / r) if line["kind"] == "validation"]
        for r in ("one", "other")
    ]
    assert validations[0] != validations[1]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_network_learns_digits_that_anyone_can_tell_apart(cell, folder, tmp_path):
    options = tiny_mnist(folder, model={"cell": cell, "hidden": 24}, epochs=20, lr=0.02)
    mnist.train(options, tmp_path / "run", quiet)
    found = mnist.evaluate(tmp_path / "run")
    assert found.images == TEST and found.share_right > 0.8


def test_evaluating_gives_what_the_plain_loop_says_of_the_test_images(folder, tmp_path):
    mnist.train(tiny_mnist(folder, model={"cell": "gru"}), tmp_path / "run", quiet)
    weights = record.read_weights(tmp_path / "run")
    network = Network(28, 10, 1, MnistModel("gru", 5), 28)
    network.load_state_dict(weights)
    scale = scale_of(read_digits(folder, "train")[:-HELD_OUT])
    x, target = to_sequences(read_digits(folder, "test"), ImageOptions(), scale)
    (cell,) = network.layer.cells()[0]
    h = unroll(cell, x, cell.initial_state(TEST))[0][-1]
    logits = h @ weights["readout.weight"].T + weights["readout.bias"]
    found = mnist.evaluate(tmp_path / "run")
    nats = torch.nn.functional.cross_entropy(logits, target)
    assert found.nats_per_image == pytest.approx(nats.item(), rel=1e-5)
    assert found.share_right == pytest.approx(logits.argmax(-1).eq(target).float().mean().item())


def test_dropout_acts_before_the_readout_and_only_while_training():
    network = Network(3, 2, None, MnistModel("rnn", 7), 4, dropout=0.5)
    x = torch.randn(4, 5, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_the_run_keeps_every_option_with_its_default_filled(folder, tmp_path):
    options = tiny_mnist(folder, model={"cell": "irnn"})
    mnist.train(options, tmp_path / "run", quiet)
    filled = replace(options, model=replace(options.model, init="identity"))
    assert read_mnist_options(tmp_path / "run") == filled


def test_other_images_than_the_run_began_with_are_refused(folder, tmp_path):
    mnist.train(tiny_mnist(folder), tmp_path / "run", quiet)
    images, _ = draw_digits(TRAIN, seed=1)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(idx(images))
    for use in (mnist.resume, mnist.evaluate):
        with pytest.raises(RunError, match="must be those of the run"):
            use(tmp_path / "run")


def test_too_few_images_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match="at least 12 for validation and a batch of 201, got 212"):
        mnist.train(tiny_mnist(folder, batch=TRAIN - HELD_OUT + 1), tmp_path / "run", quiet)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MnistModel("gru", init="forget-bias"), "one of default, orthogonal, chrono"),
        (lambda: MnistModel(layers=0), "layers must be at least 1"),
        (lambda: MnistModel(dropout=1.0), "dropout must be at least 0 and below 1"),
        (lambda: ImageOptions(by="columns"), "by must be one of rows, pixels"),
        (lambda: mnist.train(MnistOptions(), Path("none")), "data must be the folder .* got none"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=message):
        build()

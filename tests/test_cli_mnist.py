"""`throughtime train mnist` and what follows it, as a person calls them."""

import pytest
from command_line import assert_mistake
from mnist_files import HELD_OUT, TEST, write_digits

from throughtime import record
from throughtime.tasks import mnist

SMALL = "--hidden 5 --batch 6 --epochs 1 --threads 1".split()


@pytest.fixture(autouse=True)
def few_held_out(monkeypatch):
    monkeypatch.setattr(mnist, "HELD_OUT", HELD_OUT)


@pytest.fixture
def shown(tmp_path, call):
    """What a short run shows; it is in the folder `run`."""
    data = write_digits(tmp_path / "mnist")
    return call("train", "mnist", "--data", data, *SMALL, "--out", tmp_path / "run")


def test_training_shows_its_best_validation_and_what_to_try(shown, tmp_path):
    assert (shown.code, shown.err) == (0, "")
    assert "MNIST by rows, T = 28" in shown.out
    assert "nats per image" in shown.out and "% right" in shown.out
    assert f"throughtime evaluate {tmp_path / 'run'}" in shown.out
    assert (tmp_path / "run" / "curve.png").exists()


def test_evaluating_prints_the_figures_of_the_library(shown, tmp_path, call):
    found = mnist.evaluate(tmp_path / "run")
    printed = call("evaluate", tmp_path / "run").out
    assert f"{found.share_right:.2%}  of the test images right" in printed
    assert f"{found.nats_per_image:.4f}  nats per image" in printed
    assert f"over {TEST} images" in printed


def test_an_ended_run_is_resumed_to_its_end(shown, tmp_path, call):
    assert "ended already" in call("train", "--resume", tmp_path / "run").out


def test_the_configuration_of_a_run_can_be_fed_back(shown, tmp_path, call):
    words = ["--config", tmp_path / "run" / record.CONFIG, "--layers", 2]
    assert call("train", "mnist", *words, "--out", tmp_path / "again").code == 0
    ours, theirs = (record.read_config(tmp_path / f)["options"] for f in ("again", "run"))
    assert ours == theirs | {"model": theirs["model"] | {"layers": 2}}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("evaluate RUN book.txt", ["an mnist run alone", "book.txt"]),
        ("train --resume RUN --lr 0.5", ["--lr must be left out with --resume", "mnist run"]),
        ("train copy --config RUN/config.yaml", ["must be of the task copy", "of mnist"]),
        ("generate RUN", ["must be of the task language-model", "of mnist"]),
        ("train mnist", ["data must be the folder", "--data FOLDER"]),
        ("train mnist --data none", ["none", "is none"]),
        ("train mnist --by columns", ["--by"]),
        ("train nist", ["language-model, adding, copy, mnist", "'nist'"]),
    ],
)
def test_a_mistake_in_the_words_is_one_line(shown, words, parts, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_mistake(call(*words.replace("RUN", "run").split()), *parts)

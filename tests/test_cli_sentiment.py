"""`throughtime train sentiment` and the commands after it, as a person calls them."""

import io
import json
import sys

import pytest
from command_line import assert_mistake

from throughtime import record
from throughtime.tasks import sentiment

SMALL = "--hidden 5 --embedding 4 --batch 32 --epochs 1 --threads 1".split()
TABLE = "text,mood\n" + "a fine film,good\nwhat a bore,bad\n" * 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table, and a short run on it, made without the command line."""
    from throughtime.cli import main

    folder = tmp_path_factory.mktemp("sentiment")
    (folder / "t.csv").write_text(TABLE)
    words = ["train", "sentiment", str(folder / "t.csv"), "--label-column", "mood", *SMALL]
    assert main([*words, "--out", str(folder / "run")]) == 0
    return folder


def test_training_on_generated_reviews_shows_what_it_reads_and_what_to_try(tmp_path, call):
    shown = call("train", "sentiment", *SMALL, "--out", tmp_path / "run")
    assert (shown.code, shown.err) == (0, "")
    assert "2,700 texts of 2 classes, 27 words" in shown.out
    assert "% right, macro-F1" in shown.out
    assert f"throughtime predict {tmp_path / 'run'}" in shown.out
    assert "over 3,000 texts" in call("evaluate", tmp_path / "run").out


def test_evaluating_prints_the_figures_of_the_library_and_draws(folder, call):
    found = sentiment.evaluate(folder / "run", [str(folder / "t.csv")])
    printed = call("evaluate", folder / "run", folder / "t.csv").out
    assert f"{found.share_right:.2%}  accuracy" in printed
    assert f"{found.macro_f1:.4f}  macro-F1" in printed
    assert "over 40 texts" in printed and f"F1 {found.f1[1]:.4f}" in printed
    assert (folder / "run" / "confusion.png").exists()


def test_texts_from_the_standard_input_get_a_line_each(folder, call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("a fine film\n\nwhat\ta bore"))
    lines = call("predict", folder / "run").out.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["a fine film", "", "what a bore"]
    assert all(line.split("\t")[0] in ("good", "bad") for line in lines)


def test_files_give_the_same_answers_as_json(folder, call, monkeypatch):
    (folder / "texts.txt").write_text("a fine film\nwhat a bore\n")
    found = call("predict", folder / "run", folder / "texts.txt", folder / "t.csv", "--json").out
    answers = [json.loads(line) for line in found.splitlines()]
    assert [answer["text"] for answer in answers] == ["a fine film", "what a bore"] * 21
    for answer in answers:
        expected = answers[0 if answer["text"] == "a fine film" else 1]["probabilities"]
        assert answer["probabilities"] == pytest.approx(expected, abs=1e-6)
        assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_every_word_is_shown_with_its_nats(folder, call):
    (folder / "one.txt").write_text("a fine film\n")
    words = ["predict", folder / "run", folder / "one.txt", "--explain"]
    reasons = call(*words).out.rstrip("\n").split("\t")[3].split()
    found = json.loads(call(*words, "--json").out)["words"]
    assert reasons[::2] == [word for word, _ in found] == ["a", "fine", "film"]
    assert list(map(float, reasons[1::2])) == pytest.approx([nats for _, nats in found], abs=0.006)


def test_texts_that_are_cut_are_counted_on_stderr(folder, call):
    (folder / "long.txt").write_text("one\n" + "word " * 501 + "\n")
    assert "1 of them read up to" in call("predict", folder / "run", folder / "long.txt").err


def test_an_ended_run_is_resumed_to_its_end(folder, call):
    assert "ended already" in call("train", "--resume", folder / "run").out


def test_the_configuration_of_a_run_can_be_fed_back(folder, tmp_path, call):
    words = ["--config", folder / "run" / record.CONFIG, "--layers", 2]
    words += ["--exclude", folder / "t.csv", "--exclude", folder / "t.csv"]
    (tmp_path / "other.csv").write_text(TABLE.replace("fine", "fair").replace("bore", "bear"))
    words = [tmp_path / "other.csv", *words, "--out", tmp_path / "again"]
    assert call("train", "sentiment", *words).code == 0
    ours, theirs = (record.read_config(f)["options"] for f in (tmp_path / "again", folder / "run"))
    assert ours["text"]["exclude"] == [str(folder / "t.csv")] * 2
    assert ours["model"] == theirs["model"] | {"layers": 2}
    assert ours["text"]["label_column"] == "mood"
    words = ["--config", tmp_path / "again" / record.CONFIG, "--out", tmp_path / "third"]
    assert call("train", "sentiment", *words).code == 0
    assert record.read_config(tmp_path / "third")["options"] == ours


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("train --resume RUN --lr 0.5", ["--lr must be left out with --resume", "sentiment run"]),
        ("train copy --config RUN/config.yaml", ["must be of the task copy", "of sentiment"]),
        ("train sentiment none.tsv", ["none.tsv", "readable file"]),
        ("train sentiment t.csv", ["named label, it has text, mood", "--label-column NAME"]),
        ("train sentiment t.xlsx", ["ends in .tsv"]),
        ("train sentiment --cell none --pooling last", ["pooling must be mean, max or attention"]),
        ("train sentiment --hidden 8.5", ["--hidden must be a whole number"]),
        ("evaluate RUN t.csv none.csv", ["none.csv"]),
        ("predict RUN none.txt", ["none.txt", "readable file"]),
        ("predict none", ["a run must be a folder"]),
        ("generate RUN", ["must be of the task language-model", "of sentiment"]),
        ("train sentimental", ["mnist, sentiment", "'sentimental'"]),
    ],
)
def test_a_mistake_in_the_words_is_one_line(folder, words, parts, call, monkeypatch):
    monkeypatch.chdir(folder)
    assert_mistake(call(*words.replace("RUN", "run").split()), *parts)


def test_a_language_model_says_what_to_do_instead_of_predicting(run, call):
    assert_mistake(call("predict", run), "must get a run of sentiment", f"generate {run}")

import math
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tiny_runs import (
    TEXT,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    tiny_options,
    with_training,
)
from torch.nn.functional import cross_entropy

from throughtime.data.tokens import build_tokens
from throughtime.errors import DataError, OptionError, RunError
from throughtime.record import read_config, read_metrics
from throughtime.tasks import language_score
from throughtime.tasks.language_model import evaluate, load, read_options, resume, train
from throughtime.tasks.language_network import LanguageModel
from throughtime.tasks.language_score import Passage, passage, score
from throughtime.tasks.language_text import read_texts
from throughtime.tasks.options import (
    LanguageModelOptions,
    ModelOptions,
    TextOptions,
    options_from_dict,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("finished")
    train(tiny_options(folder), folder / "run", quiet)
    return folder / "run"


def one_stream_nats(model, ids):
    """The definition: one stream, one token after the other."""
    ids, state, nats = torch.as_tensor(ids), None, 0.0
    for before, after in pairwise(ids):
        logits, state = model(before.view(1, 1), state)
        nats += cross_entropy(logits[0], after.view(1)).item()
    return nats


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "rnn-relu", "irnn"])
def test_a_score_is_that_of_one_token_after_the_other(cell):
    tokens = build_tokens("characters", TEXT, 0)
    model = LanguageModel(tokens.size, ModelOptions(cell=cell, hidden=4)).double().eval()
    text = passage(tokens, TEXT[:50], "the text")
    assert score(model, text).nats_per_token * 49 == pytest.approx(
        one_stream_nats(model, text.ids), rel=1e-10
    )


def test_streams_beside_each_other_score_like_one_once_warmed_up():
    tokens = build_tokens("characters", TEXT, 0)
    model = LanguageModel(tokens.size, ModelOptions(hidden=4)).double().eval()
    ids = tokens.encode(TEXT)
    one, many = (score(model, Passage(ids, len(ids) - 1, streams)) for streams in (1, 3))
    assert many.tokens == one.tokens == len(TEXT) - 1
    assert many.nats_per_token == pytest.approx(one.nats_per_token, rel=1e-9)


def test_bounded_memory_changes_no_score(monkeypatch):
    tokens = build_tokens("characters", TEXT, 0)
    model = LanguageModel(tokens.size, ModelOptions(hidden=4)).double().eval()
    text = passage(tokens, TEXT, "the text")
    whole = score(model, text)
    monkeypatch.setattr(language_score, "_LOGITS", 5 * tokens.size)
    assert score(model, text).nats_per_token == pytest.approx(whole.nats_per_token, rel=1e-12)


@pytest.mark.parametrize("kind", ["characters", "bpe", "words"])
def test_bits_per_character_divide_all_nats_by_all_characters(kind):
    tokens = build_tokens(kind, TEXT, 300)
    model = LanguageModel(tokens.size, ModelOptions(hidden=4)).eval()
    found = score(model, passage(tokens, TEXT, "the text"))
    assert found.characters == len(TEXT) - len(tokens.decode(tokens.encode(TEXT)[:1]))
    nats = found.nats_per_token * found.tokens
    assert found.bits_per_character * found.characters * math.log(2) == pytest.approx(nats)
    assert found.perplexity == pytest.approx(math.exp(found.nats_per_token))


def test_words_are_scored_as_one_stream():
    tokens = build_tokens("words", TEXT, 300)
    assert passage(tokens, TEXT * 40, "the text").streams == 1


def test_evaluating_gives_the_best_validation_of_the_run(run):
    lines = [line for line in read_metrics(run) if line["kind"] == "validation"]
    best = min(lines, key=lambda line: line["nats_per_token"])
    found = asdict(evaluate(run))
    assert {name: found[name] for name in found if name in best} == {
        name: best[name] for name in found if name in best
    }


def test_training_lowers_the_loss_far_below_that_of_guessing(tmp_path):
    options = tiny_options(tmp_path, model={"hidden": 24, "dropout": 0.0}, epochs=6, lr=0.03)
    train(options, tmp_path / "run", quiet)
    _, tokens, _ = load(tmp_path / "run")
    assert evaluate(tmp_path / "run").nats_per_token < 0.5 * math.log(tokens.size)


def test_a_run_folder_holds_all_that_is_promised_and_nothing_else(run):
    assert sorted(file.name for file in run.iterdir()) == [
        *("checkpoint.pt", "config.yaml", "curve.png", "curve.svg", "flight.jsonl"),
        *("metrics.jsonl", "model.safetensors", "tensorboard", "text.json", "tokens.json"),
    ]


def test_training_leaves_nothing_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(tiny_options(tmp_path, epochs=1), tmp_path / "run", quiet)
    assert not any(Path.cwd().iterdir())


def test_the_folder_keeps_every_option_with_its_default_filled(run):
    options = read_options(run)
    assert options == options_from_dict(read_config(run)["options"], LanguageModelOptions)
    assert (options.training.reach, options.training.threads) == (7, 1)
    assert options.model.embedding == 5 and Path(options.text.paths[0]).is_absolute()


@pytest.mark.parametrize("kind", ["bpe", "words"])
def test_other_tokens_train_and_evaluate(tmp_path, kind):
    text = {"tokens": kind, "vocabulary": 280, "validation_share": 0.3}
    text["paths"] = (str(tmp_path / "text.txt"),)
    options = tiny_options(tmp_path, text=text, model={"tied": True}, batch=2, epochs=1, reach=11)
    train(options, tmp_path / "run", quiet)
    assert evaluate(tmp_path / "run", [tmp_path / "text.txt"]).tokens > 200
    model, tokens, _ = load(tmp_path / "run")
    assert model.embedding.weight is model.readout.weight
    assert kind == "bpe" or set(TEXT.split()) >= set(tokens.words[2:])


def test_tied_weights_survive_the_weights_file_and_the_checkpoint(tmp_path):
    options = tiny_options(
        tmp_path, text={"validation_share": 0.0, "paths": (str(tmp_path / "text.txt"),)}
    )
    tied = LanguageModelOptions(options.text, ModelOptions(hidden=5, tied=True), options.training)
    train(tied, tmp_path / "run", quiet)
    model, _, _ = load(tmp_path / "run")
    assert torch.equal(model.embedding.weight, model.readout.weight)
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["model"]
    assert torch.equal(saved["embedding.weight"], model.readout.weight)


def test_patience_stops_the_run_and_keeps_the_best_weights(tmp_path):
    options = tiny_options(tmp_path, lr=5.0, schedule="constant", epochs=20, patience=2)
    summary = train(options, tmp_path / "run", quiet)
    lines = [
        x["nats_per_token"] for x in read_metrics(tmp_path / "run") if x["kind"] == "validation"
    ]
    assert lines.index(min(lines)) == len(lines) - 3
    assert summary.updates == 17 * len(lines) and not summary.interrupted
    assert evaluate(tmp_path / "run").nats_per_token == min(lines)


def test_a_larger_reach_trains_otherwise_than_the_window_alone(tmp_path):
    options = tiny_options(tmp_path, model={"dropout": 0.0}, epochs=1)
    train(options, tmp_path / "short", quiet)
    train(with_training(options, reach=14), tmp_path / "long", quiet)
    short, long = (load(tmp_path / name)[0].readout.weight for name in ("short", "long"))
    assert not torch.equal(short, long)


def test_every_weight_is_drawn_within_the_asked_scale():
    model = LanguageModel(50, ModelOptions(hidden=6, init_scale=0.1))
    flat = torch.cat([parameter.flatten() for parameter in model.parameters()])
    assert 0.09 < flat.abs().max() <= 0.1 and flat.std().item() == pytest.approx(0.0577, rel=0.1)


def test_the_layers_of_an_irnn_begin_by_keeping_what_they_hold():
    layers = LanguageModel(7, ModelOptions(cell="irnn", hidden=4)).layers
    for (cell,) in layers.cells():
        assert torch.equal(cell.weight_hh, torch.eye(4)) and cell.nonlinearity == "relu"


def test_an_exploding_gradient_says_so_and_leaves_a_usable_run(tmp_path):
    options = tiny_options(tmp_path, model={"cell": "rnn-relu", "init_scale": 1e30}, epochs=1)
    with pytest.raises(RunError, match=r"gradient of update \d+ must be finite, .*lower --lr"):
        train(options, tmp_path / "run", quiet)
    assert read_options(tmp_path / "run").training.epochs == 1


def test_a_text_that_is_too_short_leaves_no_folder(tmp_path):
    with pytest.raises(DataError, match="lower --batch or --window"):
        train(tiny_options(tmp_path, batch=2000), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_an_unseen_character_in_an_evaluation_is_refused(run, tmp_path):
    (tmp_path / "odd.txt").write_text("to be\nor ☃")
    with pytest.raises(DataError, match=r"U\+2603\) at line 2, column 4"):
        evaluate(run, [tmp_path / "odd.txt"])


def test_a_text_changed_since_is_refused(tmp_path):
    train(tiny_options(tmp_path, epochs=1), tmp_path / "run", quiet)
    (tmp_path / "text.txt").write_text(TEXT + "more")
    for use in (evaluate, resume):
        with pytest.raises(RunError, match="the training text must be the one of the run"):
            use(tmp_path / "run")


@pytest.mark.parametrize("text", ["one line of words " * 20 + "\n", "letters" * 40 + "\n"])
def test_a_text_of_one_line_keeps_its_validation(tmp_path, text):
    (tmp_path / "line.txt").write_text(text)
    for share in (0.1, 1e-17):
        options = TextOptions((str(tmp_path / "line.txt"),), None, share, "words")
        texts = read_texts(options)
        assert texts.validation and texts.training + texts.validation == text


def test_a_run_of_another_task_or_with_unknown_options_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("{format: 1, task: chess, options: {}}")
    with pytest.raises(RunError, match="is of chess"):
        load(tmp_path)
    (tmp_path / "config.yaml").write_text("{format: 1, task: language-model, options: {colour: 1}}")
    with pytest.raises(RunError, match="got 'colour'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": {"cell": "transformer"}}, "cell must be one of lstm, gru, rnn, rnn-relu"),
        ({"model": {"hidden": 0}}, "hidden must be at least 1, got 0"),
        ({"model": {"hidden": "many"}}, "hidden must be a whole number, got 'many'"),
        ({"model": {"tied": True, "hidden": 4, "embedding": 3}}, "must equal hidden = 4"),
        ({"model": {"dropout": 1.0}}, "dropout must be at least 0 and below 1"),
        ({"model": {"cell": "irnn", "init_scale": 0.1}}, "init_scale must be left out for an irnn"),
        ({"training": {"reach": 5, "window": 6}}, "reach must be at least 6, got 5"),
        ({"training": {"lr": 0}}, "lr must be above 0"),
        ({"text": {"tokens": "bpe", "vocabulary": 100}}, "vocabulary must be at least 256"),
        ({"text": {"colour": 1}}, "text has paths, .* got 'colour'"),
        ({"text": 3}, "text must be a mapping"),
    ],
)
def test_options_that_make_no_sense_are_refused(data, message):
    with pytest.raises(OptionError, match=message):
        options_from_dict(data, LanguageModelOptions)


def test_weights_of_another_network_are_refused(tmp_path):
    train(tiny_options(tmp_path, epochs=1), tmp_path / "run", quiet)
    config = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(config.replace("hidden: 5", "hidden: 6"))
    with pytest.raises(RunError, match=r"model\.safetensors must fit config\.yaml"):
        load(tmp_path / "run")

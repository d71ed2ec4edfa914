"""Sentiment: what the network computes, what the scores say, runs that go on to the bit."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_resume import Killed, kill, stop_at
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    weight_bytes,
)
from torch.nn.functional import cross_entropy

from throughtime.data.labelled import Labelled
from throughtime.data.reviews import reviews
from throughtime.data.subwords import Lexicon
from throughtime.data.words import Words
from throughtime.errors import DataError, OptionError, RunError
from throughtime.tasks import sentiment
from throughtime.tasks.pooling import Pooling
from throughtime.tasks.sentiment_network import Classifier
from throughtime.tasks.sentiment_options import (
    ClassifierOptions,
    LabelledOptions,
    SentimentOptions,
    SentimentTraining,
    read_sentiment_options,
)
from throughtime.tasks.sentiment_score import Score, score
from throughtime.tasks.sentiment_texts import Encoded, read_texts

POOLINGS = ("last", "mean", "max", "attention")
LENGTHS = torch.tensor([3, 5, 1])
LEXICON = Lexicon(Words.build("the plot was not so very fresh", 20), 50)
TEXTS = [["the", "plot", "was"], ["was", "not", "so", "fresh", "fresher"], ["very"]]


def classifier(cell="lstm", classes=3, **options):
    """A small network in double precision over that vocabulary."""
    model = ClassifierOptions(cell, **{"hidden": 3, "embedding": 4, "subwords": 50} | options)
    return Classifier(LEXICON.tokens.size, classes, model).double().eval()


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    """Drawing takes longer than these runs."""
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


def table(folder, texts, name="t.tsv"):
    """A file of labelled texts."""
    path = Path(folder, name)
    rows = zip(texts.texts, texts.labels, strict=True)
    path.write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    return str(path)


def tiny(paths=(), text=None, model=None, **training):
    """Two epochs of sixteen updates with everything random that there is."""
    small = {"hidden": 5, "embedding": 4, "subwords": 30, "layers": 2, "dropout": 0.3}
    short = {"batch": 8, "epochs": 2, "warmup": 5, "threads": 1, "checkpoint_every": 5}
    return SentimentOptions(
        LabelledOptions(**{"paths": tuple(paths)} | (text or {})),
        ClassifierOptions(**small | (model or {})),
        SentimentTraining(**short | training),
    )


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A file of 142 generated reviews, some twice."""
    return table(tmp_path_factory.mktemp("few"), reviews(142, seed=5))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_what_its_equation_says_row_by_row(pooling):
    pool, y = Pooling(pooling, 4, is_bidirectional=True).double(), torch.randn(5, 3, 4).double()
    for b, n in enumerate(LENGTHS):
        row = y[:n, b]
        if pooling == "last":
            expected = torch.cat([row[-1, :2], row[0, 2:]])
        elif pooling == "attention":
            scores = torch.stack([pool.query(torch.tanh(pool.project(step))) for step in row])
            expected = ((scores.exp() / scores.exp().sum()) * row).sum(0)
        else:
            expected = row.mean(0) if pooling == "mean" else row.max(0).values
        torch.testing.assert_close(pool(y, LENGTHS)[b], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "pooling"),
    [("lstm", pooling) for pooling in POOLINGS]
    + [("gru", "max"), ("rnn", "last"), ("none", "mean"), ("none", "max"), ("none", "attention")],
)
def test_a_text_alone_is_what_it_is_in_a_padded_batch(cell, pooling):
    network = classifier(cell, layers=2, pooling=pooling)
    together = network(LEXICON.join(TEXTS))
    for b, text in enumerate(TEXTS):
        alone = network(LEXICON.join([text]))[0]
        torch.testing.assert_close(together[b], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_without_words_gets_the_bias_and_no_nan(pooling):
    network = classifier(pooling=pooling)
    logits = network(LEXICON.join([[], TEXTS[0]]))
    torch.testing.assert_close(logits[0], network.readout.bias)
    logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_a_bag_of_words_does_not_see_their_order():
    network = classifier("none", pooling="mean")
    one, other = network(LEXICON.join([TEXTS[1], TEXTS[1][::-1]]))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_dropped_words_are_read_as_the_unknown_word_while_training_alone():
    network = classifier("none", pooling="mean", dropout=0.0, word_dropout=0.999)
    unknown = network.readout(network.embedding.words.weight[LEXICON.unknown])
    found = LEXICON.join(TEXTS[:1])
    torch.testing.assert_close(network.train()(found)[0], unknown, rtol=0, atol=1e-12)
    assert (network.eval()(found)[0] - unknown).abs().max() > 1e-3


def test_a_words_vector_is_its_own_and_the_scaled_sum_of_its_pieces():
    embedding = classifier().embedding
    found = embedding(LEXICON.join(TEXTS))
    for b, text in enumerate(TEXTS):
        for t, word in enumerate(text):
            number, pieces = LEXICON.look_up(word)
            expected = embedding.words.weight[number]
            expected = (
                expected + sum(embedding.pieces.weight[p] for p in pieces) / len(pieces) ** 0.5
            )
            torch.testing.assert_close(found[t, b], expected, rtol=0, atol=1e-12)
    whole = classifier(subwords=0).embedding
    without = Lexicon(LEXICON.tokens, 0).join(TEXTS)
    assert torch.equal(whole(without)[3, 1], whole.words.weight[LEXICON.look_up("fresh")[0]])


def test_unknown_words_share_the_pieces_of_known_ones():
    (known, of_known), (unknown, of_unknown) = map(LEXICON.look_up, ("fresh", "fresher"))
    assert unknown == LEXICON.unknown != known
    assert len(set(of_known) & set(of_unknown)) >= 6  # those of "<fresh"
    assert len(LEXICON.look_up("x" * 100_000)[1]) == 24


def test_balanced_weights_let_every_class_weigh_the_same():
    counts = {"a": 6, "b": 3, "c": 1}
    weights = sentiment.class_weights(counts, "balanced")
    assert [6, 3, 1] * weights.numpy() == pytest.approx([10 / 3] * 3)
    assert sentiment.class_weights(counts, "equal").tolist() == [1, 1, 1]


def test_scores_count_every_text_as_a_loop_does():
    vocabulary = [*LEXICON.tokens.words, "unheard"]
    texts = [[vocabulary[k % 7]] * (k % 4) + vocabulary[: k % 3] for k in range(301)]
    encoded = Encoded(texts, np.arange(301) % 3, 0)
    network = classifier("gru")
    found, nats, taken = score(network, LEXICON, encoded, ("a", "b", "c")), 0.0, []
    for words, k in zip(texts, encoded.classes, strict=True):
        logits = network(LEXICON.join([words]))
        nats += cross_entropy(logits, torch.tensor([k])).item() / 301
        taken.append(logits.argmax().item())
    right = np.array(taken) == encoded.classes
    assert found.texts == 301 and found.share_right == pytest.approx(right.mean())
    assert found.nats_per_text == pytest.approx(nats, abs=1e-10)
    pairs = list(zip(encoded.classes.tolist(), taken, strict=True))
    assert found.confusion.tolist() == [[pairs.count((i, j)) for j in range(3)] for i in range(3)]


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    found = Score(("a", "b", "c"), np.array([[5, 2, 0], [1, 3, 0], [0, 0, 0]]), 0.0, 0)
    precision, recall = np.array([5 / 6, 3 / 5]), np.array([5 / 7, 3 / 4])
    expected = [*(2 * precision * recall / (precision + recall)), 0]
    assert found.f1 == pytest.approx(expected)
    assert found.macro_f1 == pytest.approx(np.mean(expected))


def test_the_generated_reviews_are_learnt_to_the_last_one(tmp_path):
    model = {"hidden": 24, "embedding": 16, "layers": 1, "dropout": 0.1, "pooling": "last"}
    options = tiny(model=model, epochs=3, batch=32, lr=0.01)
    sentiment.train(options, tmp_path / "run", quiet)
    found = sentiment.evaluate(tmp_path / "run")
    assert (found.texts, found.share_right, found.macro_f1) == (3000, 1.0, 1.0)
    texts = ["the plot was not funny", "the plot was dull but the cast was not flat", "", "?"]
    model = sentiment.load(tmp_path / "run")
    answers = list(sentiment.predict(model, texts))
    assert [answer.text for answer in answers] == texts
    assert [answer.label for answer in answers[:2]] == ["negative", "positive"]
    for answer in answers:
        assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_a_run_that_was_killed_goes_on_to_the_same_bits(few, tmp_path, monkeypatch):
    options = tiny([few], workers=0)
    sentiment.train(options, tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 13, kill)
        sentiment.train(options, tmp_path / "run", quiet)
    sentiment.resume(tmp_path / "run", quiet)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert weight_bytes(tmp_path / "run") == weight_bytes(tmp_path / "whole")


def test_the_weights_that_are_kept_are_those_with_the_most_texts_right(few, tmp_path, monkeypatch):
    # The lowest loss comes first, the highest accuracy third.
    losses_, shares = iter([0.3, 0.4, 0.5, 0.6]), iter([0.7, 0.6, 0.9, 0.8])

    def fake(*_):
        share = next(shares)
        return SimpleNamespace(nats_per_text=next(losses_), share_right=share, macro_f1=share)

    monkeypatch.setattr(sentiment, "score", fake)
    said = []
    sentiment.train(tiny([few], validate_every=8), tmp_path / "run", said.append)
    validations = [line for line in said if "validation" in line]
    assert ["(best)" in line for line in validations] == [True, False, True, False]


def test_two_workers_read_the_same_batches(few, tmp_path):
    for workers in (0, 2):
        sentiment.train(tiny([few], workers=workers, epochs=1), tmp_path / str(workers), quiet)
    assert weight_bytes(tmp_path / "0") == weight_bytes(tmp_path / "2")


def test_texts_of_the_test_are_taken_out_of_the_training_and_counted(few, tmp_path):
    everything = read_texts(LabelledOptions((few,), validation_share=0), 1)
    secret = Labelled([everything.training.texts[3].upper() + " ", "never seen"], ["?", "?"])
    found = read_texts(
        LabelledOptions((few,), exclude=(table(tmp_path, secret),), validation_share=0), 1
    )
    same = everything.training.texts.count(everything.training.texts[3])
    assert found.excluded == same
    assert len(found.training) == len(everything.training) - same
    assert everything.training.texts[3] not in found.training.texts


def test_a_share_for_validation_is_drawn_from_the_seed_and_leaves_the_rest(few):
    options = LabelledOptions((few,), validation_share=0.25)
    one, again, other = (read_texts(options, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one.validation) == round(0.25 * 142)
    everything = read_texts(LabelledOptions((few,), validation_share=0), 1).training
    assert sorted(one.training.texts + one.validation.texts) == sorted(everything.texts)


def test_long_texts_are_cut_and_counted(few, tmp_path):
    shown = []
    options = tiny([few], text={"longest": 6}, epochs=1)
    sentiment.train(options, tmp_path / "run", shown.append)
    long = [text for text in reviews(142, seed=5).texts if len(text.split()) > 6]
    found = sentiment.evaluate(tmp_path / "run", [few])
    assert found.texts == 142 and found.cut == len(long) > 0
    assert "cut at the longest length" in shown[0]
    answer, cut = sentiment.predict(sentiment.load(tmp_path / "run"), ["a b", "a b c d e f g"])
    assert (answer.is_cut, cut.is_cut) == (False, True)


def test_the_run_keeps_every_option_with_its_default_filled(few, tmp_path):
    options = tiny([few], text={"exclude": (few,), "validation": (few,)})
    with pytest.raises(DataError, match=r"two labels or more, 0 texts"):
        sentiment.train(options, tmp_path / "run", quiet)
    options = tiny([few], text={"validation": (few,)}, epochs=1)
    sentiment.train(options, tmp_path / "run", quiet)
    assert read_sentiment_options(tmp_path / "run") == options


def test_labels_that_the_training_had_not_are_refused_with_counts(few, tmp_path):
    sentiment.train(tiny([few], epochs=1), tmp_path / "run", quiet)
    strange = table(tmp_path, Labelled(["a", "b", "c"], ["positive", "meh", "meh"]))
    with pytest.raises(DataError, match=r"negative, positive, 2 of 3 rows .* 'meh' \(2\)"):
        sentiment.evaluate(tmp_path / "run", [strange])


def test_other_texts_than_the_run_began_with_are_refused(tmp_path):
    path = table(tmp_path, reviews(60, seed=1))
    sentiment.train(tiny([path], epochs=1), tmp_path / "run", quiet)
    table(tmp_path, reviews(60, seed=2))
    with pytest.raises(RunError, match="must be those of the run"):
        sentiment.resume(tmp_path / "run", quiet)


@pytest.mark.parametrize("name", ["tokens.json", "labels.json"])
def test_a_damaged_run_is_refused_by_the_file(name, few, tmp_path):
    sentiment.train(tiny([few], epochs=1), tmp_path / "run", quiet)
    (tmp_path / "run" / name).write_text("[]")
    with pytest.raises(RunError, match=name):
        sentiment.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ClassifierOptions("none", pooling="last"), "mean, max or attention without"),
        (lambda: ClassifierOptions(pooling="sum"), "pooling must be one of last, mean"),
        (lambda: ClassifierOptions(cell="tree"), "cell must be one of lstm, gru, rnn, none"),
        (lambda: ClassifierOptions(layers=0), "layers must be at least 1"),
        (lambda: LabelledOptions(longest=0), "longest must be at least 1"),
        (lambda: LabelledOptions(text_column="label"), "another column than text_column"),
        (lambda: SentimentTraining(class_weights="rare"), "one of equal, balanced"),
        (lambda: replace(LabelledOptions(), exclude="a.tsv"), "exclude must be a list of texts"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message):
    with pytest.raises(OptionError, match=message):
        build()


def test_the_step_of_a_run_is_made_again_without_its_texts(few, tmp_path):
    options = tiny([few], epochs=1, class_weights="balanced")
    sentiment.train(options, tmp_path / "run", quiet)
    network, step = sentiment.rebuild(tmp_path / "run")
    texts = [["the", "plot"], ["was", "dull", "but"]]
    lexicon = sentiment.load(tmp_path / "run").lexicon
    target = torch.tensor([0, 1])
    counts = read_texts(options.text, 1).training.counts()
    weights = sentiment.class_weights(counts, "balanced")
    torch.manual_seed(0)
    loss, _ = step((tuple(lexicon.join(texts)), target), None)
    torch.manual_seed(0)
    expected = cross_entropy(network(lexicon.join(texts)), target, weights)
    torch.testing.assert_close(loss, expected)

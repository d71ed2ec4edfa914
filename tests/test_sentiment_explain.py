"""Why a text is taken for what it is: the nats of its words, checked by their sum."""

import pytest
import torch
from tiny_runs import quiet, threads_as_before  # noqa: F401  # a fixture for the test here

from throughtime.tasks import sentiment
from throughtime.tasks.sentiment_explain import explain
from throughtime.tasks.sentiment_options import (
    ClassifierOptions,
    SentimentOptions,
    SentimentTraining,
)


def test_the_nats_of_all_words_are_what_the_text_adds_to_the_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.tasks.sentiment_texts.EXAMPLES", 200)
    model = ClassifierOptions(hidden=5, embedding=4, subwords=30, layers=2)
    options = SentimentOptions(
        model=model, training=SentimentTraining(epochs=2, lr=0.02, warmup=2, threads=1)
    )
    sentiment.train(options, tmp_path / "run", quiet)
    model = sentiment.load(tmp_path / "run")
    texts = ["the plot was not dull", "", "great but unheard"]
    answers = list(sentiment.predict(model, texts))
    reasons = explain(model, answers)
    assert [[word for word, _ in words] for words in reasons] == [text.split() for text in texts]
    for answer, words in zip(answers, reasons, strict=True):
        places = model.lexicon.join([[word for word, _ in words]])
        blank = places._replace(places=torch.zeros_like(places.places))
        start = model.network(blank).log_softmax(-1)[0, model.classes.index(answer.label)]
        gained = torch.tensor(answer.probabilities[answer.label]).log() - start
        assert sum(nats for _, nats in words) == pytest.approx(gained.item(), abs=1e-4)

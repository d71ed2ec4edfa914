"""`throughtime train sentiment`, and what a run of it can do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Literal,  # noqa: F401  (cyclopts looks up the inherited annotations in this module)
)

from cyclopts import Parameter

from throughtime.cli.flags import MODEL, RUN, TEXT, TRAINING
from throughtime.cli.output import is_first, new_folder, say
from throughtime.cli.recipes import refuse_decoding
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.sentiment_options import (
    SENTIMENT,
    ClassifierOptions,
    LabelledOptions,
    SentimentOptions,
    SentimentTraining,
)

if TYPE_CHECKING:
    from throughtime.tasks.sentiment import Model as Trained
    from throughtime.tasks.sentiment import Prediction
    from throughtime.training.run import Summary

AT_ONCE = 256
"""Texts of a file that are read side by side."""


@dataclass(frozen=True)
class TextFlags(LabelledOptions):
    """The options of the texts without the paths: those come as plain words."""

    paths: Annotated[tuple[str, ...], Parameter(parse=False)] = ()


Text = Annotated[TextFlags, Parameter(name="*", group=TEXT)]
Model = Annotated[ClassifierOptions, Parameter(name="*", group=MODEL)]
Training = Annotated[SentimentTraining, Parameter(name="*", group=TRAINING)]

NO_TEXT, NO_MODEL, NO_TRAINING = TextFlags(), ClassifierOptions(), SentimentTraining()
"""What holds where no flag is given."""


def train_sentiment(
    *paths: str,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    text: Text = NO_TEXT,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to tell the label of a text: praise or blame, topic, or any other.

    Tables are .tsv, .csv, .jsonl or .parquet files with a column of texts and one of labels, or
    hf:NAME:SPLIT, a set of Hugging Face. A .tsv or .csv of two columns needs no header.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        paths: Tables of labelled texts; none: generated reviews, learnt in seconds.
        out: New folder for the run. [default: runs/sentiment-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        text: What is read.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.sentiment import train

    values = {field.name: getattr(text, field.name) for field in fields(LabelledOptions)}
    options = SentimentOptions(LabelledOptions(**values | {"paths": paths}), model, training)
    return finish(train(options, out or new_folder(SENTIMENT), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import sentiment

    return finish(sentiment.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """Prints how well a run tells texts apart, and draws what it took for what."""
    from throughtime.tasks.confusion import draw_confusion
    from throughtime.tasks.sentiment import evaluate

    found = evaluate(run, paths)
    print(f"{found.share_right:8.2%}  accuracy")
    print(f"{found.macro_f1:8.4f}  macro-F1")
    print(f"{found.nats_per_text:8.4f}  nats per text")
    print(f"over {found.texts:,} texts" + _say_cut(found.cut))
    width = max(8, *(len(name) for name in found.classes)) + 2
    print("\n" + "is \\ taken for".rjust(width + 6), *(c.rjust(width) for c in found.classes))
    for name, row, f1 in zip(found.classes, found.confusion, found.f1, strict=True):
        print(name.rjust(width + 6), *(f"{n:,}".rjust(width) for n in row), f"  F1 {f1:.4f}")
    print(f"\nThe picture: {draw_confusion(found, run / 'confusion', 'texts')}")


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """Prints what each text is taken for; texts come from files or the standard input."""
    from throughtime.tasks.sentiment import load, predict

    refuse_decoding(SENTIMENT, how)
    model = load(run)
    cut = 0
    for texts in _chunks(model, paths):
        answers = list(predict(model, texts))
        reasons = _reasons(model, answers) if is_explained else [[] for _ in answers]
        for found, words in zip(answers, reasons, strict=True):
            print(_as_json(found, words) if as_json else _as_line(found, words), flush=not paths)
            cut += found.is_cut
    if cut:
        print(f"note: {_say_cut(cut).removeprefix(', ')}", file=sys.stderr)


def _reasons(model: Trained, answers: list[Prediction]) -> list[list[tuple[str, float]]]:
    from throughtime.tasks.sentiment_explain import explain

    return explain(model, answers)


def _say_cut(count: int) -> str:
    return f", {count:,} of them read up to the longest length only" if count else ""


def _chunks(model: Trained, paths: tuple[str, ...]) -> Iterator[list[str]]:
    """Texts as they come: each at once from the standard input, many at once from files."""
    if not paths:
        for line in sys.stdin:
            yield [line.rstrip("\n")]
    for path in paths:
        texts = iter(_read(model, path))
        while chunk := list(islice(texts, AT_ONCE)):
            yield chunk


def _read(model: Trained, path: str) -> list[str]:
    from throughtime.data.labelled import read_texts
    from throughtime.data.tables import is_table
    from throughtime.data.text import read_file

    if is_table(path):
        options = model.options.text
        return read_texts(path, options.text_column, options.label_column)
    return read_file(Path(path)).removesuffix("\n").split("\n")


def _as_line(found: Prediction, words: list[tuple[str, float]]) -> str:
    text = " ".join(found.text.split())
    parts = [found.label, f"{found.probabilities[found.label]:.4f}", text]
    return "\t".join(
        parts + [" ".join(f"{word} {nats:+.2f}" for word, nats in words)] * bool(words)
    )


def _as_json(found: Prediction, words: list[tuple[str, float]]) -> str:
    return json.dumps(
        {"text": found.text, "label": found.label, "probabilities": found.probabilities}
        | ({"words": words} if words else {})
        | ({"cut": True} if found.is_cut else {})
    )


def finish(summary: Summary) -> int:
    """The best figures and what to try next; the exit code."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    if not is_first():
        return 0
    scores = [line for line in read_metrics(summary.run) if line["kind"] == "validation"]
    if scores:
        best = max(scores, key=lambda line: line["share_right"])
        print(
            f"\nBest validation, at update {best['update']:,}: {best['share_right']:.2%} right, "
            f"macro-F1 {best['macro_f1']:.4f}, {best['nats_per_text']:.4f} nats per text"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime evaluate {summary.run} test.tsv")
    print(f"  echo 'What a film!' | throughtime predict {summary.run}")
    print(f"  open {summary.run / 'curve.png'}")
    return 0

"""`throughtime train translation`, and what a run of it can do."""

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

from throughtime.cli.decoded import note_unfinished, to_json
from throughtime.cli.flags import MODEL, RUN, TEXT, TRAINING
from throughtime.cli.output import is_first, new_folder, say
from throughtime.errors import OptionError
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.translation_options import (
    TRANSLATION,
    ParallelOptions,
    TranslationOptions,
    TranslationTraining,
    TranslatorOptions,
)

if TYPE_CHECKING:
    from throughtime.tasks.translation import Looked, Prediction
    from throughtime.tasks.translation_model import Model as Trained
    from throughtime.training.run import Summary

AT_ONCE = 512
"""Sentences of a file that are translated before the first of them is printed."""


@dataclass(frozen=True)
class TextFlags(ParallelOptions):
    """The options of the pairs as flags: paths come as plain words, files of a set two at once."""

    paths: Annotated[tuple[str, ...], Parameter(parse=False)] = ()
    validation: Annotated[tuple[str, ...], Parameter(consume_multiple=(1, 2))] = ()
    """Files to choose the best weights on; without them, a share of the training pairs."""


Text = Annotated[TextFlags, Parameter(name="*", group=TEXT)]
Model = Annotated[TranslatorOptions, Parameter(name="*", group=MODEL)]
Training = Annotated[TranslationTraining, Parameter(name="*", group=TRAINING)]

NO_TEXT, NO_MODEL, NO_TRAINING = TextFlags(), TranslatorOptions(), TranslationTraining()
"""What holds where no flag is given."""


def train_translation(
    *paths: str,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    text: Text = NO_TEXT,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to translate sentences.

    Pairs are two files with a sentence a line, train.en train.de, the one that is read first; or
    .tsv, .csv, .jsonl or .parquet tables with a column for each side. hf:NAME:SPLIT is a set of
    Hugging Face.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        paths: Pairs of sentences; none: drawn ones, learnt in minutes.
        out: New folder for the run. [default: runs/translation-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        text: What is read.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.translation import train

    values = {field.name: getattr(text, field.name) for field in fields(ParallelOptions)}
    options = TranslationOptions(ParallelOptions(**values | {"paths": paths}), model, training)
    return finish(train(options, out or new_folder(TRANSLATION), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import translation

    return finish(translation.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """Prints how good the translations of a run are, and keeps them."""
    from throughtime.tasks.translation import evaluate
    from throughtime.tasks.translation_score import write_translations

    found = evaluate(run, paths)
    beam = f"beam {found.width}"
    print(f"{'greedy':>8}{beam:>10}")
    for ours, theirs in zip(found.greedy.measures, found.beam.measures, strict=True):
        print(f"{ours.value:8.2f}{theirs.value:10.2f}  {ours.name}  ({ours.signature})")
    print(
        f"{found.greedy.share_exact:8.2%}{found.beam.share_exact:10.2%}  to the letter as the "
        "reference"
    )
    print(f"{found.nats_per_piece:8.4f} nats per piece of the references")
    print(f"over {len(found.pairs):,} pairs of sentences")
    for name, score in (
        ("the greedy translations", found.greedy),
        (f"those of {beam}", found.beam),
    ):
        if score.unfinished:
            print(f"{score.unfinished:,} of {name} came to no end within the longest length")
    kept = write_translations(found.beam, found.pairs, run / "translations.jsonl")
    print(f"\nThe translations: {kept}")


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """Prints a translation of each sentence, or draws where the network looked."""
    from throughtime.tasks.translation import load, look_again, predict
    from throughtime.tasks.translation_drawing import draw_alignment

    model = load(run)
    if is_explained and model.options.model.attention == "none":
        raise OptionError(
            f"--explain must come with a network that has attention, {run} has none; leave it out."
        )
    number = unfinished = 0
    for sentences in _chunks(model, paths):
        for found in predict(model, sentences, how):
            number += 1
            unfinished += not found.found[0].is_finished
            looked = look_again(model, found) if is_explained else None
            drawn = draw_alignment(looked, run / f"looked-{number}.png") if looked else None
            if as_json:
                print(_as_json(found, looked, drawn), flush=not paths)
            else:
                shown = [*found.translations, *([str(drawn)] if drawn else [])]
                print("\t".join(shown), flush=not paths)
    note_unfinished(unfinished, "translations")


def _chunks(model: Trained, paths: tuple[str, ...]) -> Iterator[list[str]]:
    """Sentences as they come: each at once from the standard input, many at once from files."""
    from throughtime.data.parallel import read_sentences

    if not paths:
        for line in sys.stdin:
            yield [line.rstrip("\n")]
    for path in paths:
        sentences = iter(read_sentences(path, model.options.text.source_column))
        while chunk := list(islice(sentences, AT_ONCE)):
            yield chunk


def _as_json(found: Prediction, looked: Looked | None, drawn: Path | None) -> str:
    content: dict[str, object] = {"source": found.source}
    content |= to_json("translation", found.translations, found.found)
    if looked:
        content |= {"looked": str(drawn), "rows": looked.rows, "columns": looked.columns}
        content["weights"] = looked.weights.round(4).tolist()
    return json.dumps(content, ensure_ascii=False)


def finish(summary: Summary) -> int:
    """The best figures and what to try next; the exit code."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    if not is_first():
        return 0
    scores = [line for line in read_metrics(summary.run) if line["kind"] == "validation"]
    if scores:
        best = max(scores, key=lambda line: line["chrf"])
        print(
            f"\nBest validation, at update {best['update']:,}: chrF {best['chrf']:.2f}, BLEU "
            f"{best['bleu']:.2f} without a beam, {best['nats_per_token']:.4f} nats per piece"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime evaluate {summary.run} test.en test.de")
    print(f"  echo 'A sentence.' | throughtime predict {summary.run} --explain")
    print(f"  open {summary.run / 'curve.png'}")
    return 0

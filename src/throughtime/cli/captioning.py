"""`throughtime train captioning`, and what a run of it can do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
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
from throughtime.tasks.captioning_options import (
    CAPTIONING,
    CaptionedOptions,
    CaptionerOptions,
    CaptioningOptions,
    CaptioningTraining,
)
from throughtime.tasks.decoding_options import Decoding

if TYPE_CHECKING:
    from throughtime.data.pictures import Source
    from throughtime.tasks.captioning_model import Model as Trained
    from throughtime.tasks.captioning_predict import Prediction
    from throughtime.training.run import Summary


@dataclass(frozen=True)
class TextFlags(CaptionedOptions):
    """The options of the pictures without the paths: those come as plain words."""

    paths: Annotated[tuple[str, ...], Parameter(parse=False)] = ()


Text = Annotated[TextFlags, Parameter(name="*", group=TEXT)]
Model = Annotated[CaptionerOptions, Parameter(name="*", group=MODEL)]
Training = Annotated[CaptioningTraining, Parameter(name="*", group=TRAINING)]

NO_TEXT, NO_MODEL, NO_TRAINING = TextFlags(), CaptionerOptions(), CaptioningTraining()
"""What holds where no flag is given."""


def train_captioning(
    *paths: str,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    text: Text = NO_TEXT,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to describe pictures in words.

    Lists are .jsonl, .parquet, .tsv or .csv files with a column of pictures, named from the list's
    folder on, and one of captions: several in a list, or one a row. A .tsv or .csv needs a header.
    hf:NAME:SPLIT is a set of Hugging Face. What a pretrained network sees in the pictures is
    computed once and kept in --features.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        paths: Lists of pictures with captions; none: drawn shapes, learnt in a minute.
        out: New folder for the run. [default: runs/captioning-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        text: What is read.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.captioning import train

    values = {field.name: getattr(text, field.name) for field in fields(CaptionedOptions)}
    options = CaptioningOptions(CaptionedOptions(**values | {"paths": paths}), model, training)
    return finish(train(options, out or new_folder(CAPTIONING), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import captioning

    return finish(captioning.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """Prints how good the captions of a run are, and keeps them."""
    from throughtime.tasks.captioning import evaluate
    from throughtime.tasks.captioning_score import write_captions

    found, known = evaluate(run, paths, _note)
    for order, value in enumerate(found.measures.bleu, 1):
        print(f"{value:8.2f}  BLEU-{order}")
    print(f"{found.measures.cider:8.4f}  CIDEr-D")
    print(f"{found.measures.rouge:8.2f}  ROUGE-L")
    print(f"{found.share_exact:8.2%}  word for word as a reference")
    print(f"{found.nats_per_token:8.4f}  nats per word or piece of the references")
    count = sum(map(len, found.references))
    print(f"over {len(found.captions):,} pictures with {count:,} references")
    print("in small letters, without punctuation, words between blanks")
    counts = (
        (found.unknown, f"of {found.words:,} words in the references cannot be written"),
        (found.unfinished, "captions came to no end within the longest length"),
        (found.cut, "references were read up to the longest length for the nats"),
        (len(known.skipped), "pictures were skipped, listed on stderr"),
    )
    for number, what in counts:
        if number:
            print(f"{number:,} {what}")
    _list(known.skipped)
    print(f"\nThe captions: {write_captions(found, known, run / 'captions.jsonl')}")


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """Prints a caption for each picture, and draws where the network looked.

    Pictures that are named are always drawn; those of lists, and of the standard input, only with
    `is_explained`.
    """
    from throughtime.data.pictures import name_of
    from throughtime.errors import DataError
    from throughtime.tasks.captioning import load, predict
    from throughtime.tasks.captioning_drawing import draw_where

    model = load(run)
    skipped: dict[str, str] = {}
    unfinished = 0
    for number, (picture, is_named) in enumerate(_pictures(model, paths), 1):
        try:
            (found,) = predict(model, [picture], how)
        except DataError as error:
            if model.options.text.corrupt == "refuse":
                raise
            skipped[name_of(picture)] = str(error)
            continue
        unfinished += not found.found[0].is_finished
        drawn = None
        if (is_named or is_explained) and model.options.model.attention != "none":
            stem = Path(picture).stem if isinstance(picture, str) else f"picture-{number}"
            drawn = draw_where(found, run / f"looked-{stem}.png")
        if as_json:
            print(_as_json(name_of(picture), found, drawn, is_explained), flush=not paths)
        else:
            shown = [name_of(picture), *found.captions, *([str(drawn)] if drawn else [])]
            print("\t".join(shown), flush=not paths)
    note_unfinished(unfinished, "captions")
    _list(skipped)


def _pictures(model: Trained, paths: tuple[str, ...]) -> Iterator[tuple[Source, bool]]:
    """The pictures, and whether each was named itself; names come from the standard input, too."""
    from throughtime.data.captions import read_sources
    from throughtime.data.tables import is_table

    for path in paths:
        if is_table(path):
            sources = read_sources(path, model.options.text.image_column)
            yield from ((source, False) for source in sources)
        else:
            yield path, True
    if not paths:
        yield from ((line.strip(), False) for line in sys.stdin if line.strip())


def _as_json(name: str, found: Prediction, drawn: Path | None, is_explained: bool) -> str:
    content: dict[str, object] = {"picture": name}
    content |= to_json("caption", found.captions, found.found)
    if drawn:
        content["looked"] = str(drawn)
    if is_explained:
        content["words"] = found.words
        content["weights"] = found.maps.round(4).tolist()
    return json.dumps(content)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list(skipped: dict[str, str]) -> None:
    """Counts pictures that were skipped, and says why each was, on stderr."""
    if skipped:
        _note(f"note: {len(skipped):,} pictures skipped:")
        for reason in skipped.values():
            _note(f"  {reason}")


def finish(summary: Summary) -> int:
    """The best figures and what to try next; the exit code."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    if not is_first():
        return 0
    scores = [line for line in read_metrics(summary.run) if line["kind"] == "validation"]
    if scores:
        best = max(scores, key=lambda line: line["bleu_4"])
        print(
            f"\nBest validation, at update {best['update']:,}: BLEU-4 {best['bleu_4']:.2f} without "
            f"a beam, CIDEr-D {best['cider']:.4f}, {best['nats_per_token']:.4f} nats per token"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime evaluate {summary.run} test.jsonl")
    print(f"  throughtime predict {summary.run} photo.jpg")
    print(f"  open {summary.run / 'curve.png'}")
    return 0

"""`throughtime train language-model`, and what a run of it can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from throughtime.cli.flags import (
    NO_MODEL,
    NO_TEXT,
    NO_TRAINING,
    RUN,
    Model,
    Text,
    Training,
    to_options,
)
from throughtime.cli.output import new_folder, say
from throughtime.cli.recipes import refuse_to_predict
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.options import TASK

if TYPE_CHECKING:
    from throughtime.training.run import Summary


def train_language_model(
    *paths: str,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    text: Text = NO_TEXT,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a recurrent network to predict the next character, piece or word of a text.

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        paths: Text files, folders or globs; none: the source code of Python's standard library.
        out: New folder for the run. [default: runs/language-model-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        text: What is read.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.language_model import train

    options = to_options(paths, text, model, training)
    return finish(train(options, out or new_folder("language-model"), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import language_model

    return finish(language_model.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """Prints how well a run predicts a text."""
    from throughtime.tasks import language_model

    found = language_model.evaluate(run, paths)
    print(f"{found.bits_per_character:8.4f}  bits per character")
    print(f"{found.nats_per_character:8.4f}  nats per character")
    print(f"{found.nats_per_token:8.4f}  nats per token")
    print(f"{found.perplexity:8.2f}  perplexity per token")
    print(f"over {found.tokens:,} tokens, {found.characters:,} characters")


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """A language model writes instead."""
    raise refuse_to_predict(run, TASK, f"let it write: throughtime generate {run}")


def finish(summary: Summary) -> int:
    """The last figures and what to try next."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    run = summary.run
    scores = [line for line in read_metrics(run) if line["kind"] == "validation"]
    if scores:
        best = min(scores, key=lambda line: line["nats_per_token"])
        print(
            f"\nBest validation, at update {best['update']:,}: "
            f"{best['bits_per_character']:.4f} bits per character "
            f"({best['nats_per_character']:.4f} nats), perplexity {best['perplexity']:.2f} a token"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime generate {run} --length 1000 --temperature 0.7")
    if scores:
        print(f"  throughtime evaluate {run}")
    print(f"  open {run / 'curve.png'}")
    return 0

"""What a report shows of a translation run: its decoder on references, and where it looked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.parallel import Parallel
from throughtime.tasks import translation
from throughtime.tasks.inspection_subject import (
    NO_CELL,
    ROWS,
    WINDOW,
    Asked,
    Recipe,
    Subject,
    View,
    spread,
)
from throughtime.tasks.translation_texts import encode, read_pairs
from throughtime.web import Alignment, Attention, Missing

MOST_PAIRS = 128
"""Pairs whose references are read."""

SHOWN = 8
"""Sentences for which it is shown where the network looked."""

BEGIN = "⟨begin⟩"
"""How a page writes the mark that begins a sentence."""

NO_ATTENTION = Missing("This run has no attention: each step reads the summary of the source.")

STEP_BY_STEP = Missing(
    "With input feeding the layers run one step at a time, and what was seen stands between two "
    "steps; instruments that follow a whole sequence do not see through it."
)


def open_view(run: Path, asked: Asked) -> View:
    """A translation run, with pairs it chose its weights on, or else those it learnt.

    Raises:
        DataError: a file cannot be read.
        PackageError: what reads a table is not installed.
        RunError: the run cannot be used.
    """
    model = translation.load(run)
    training, validation = read_pairs(model.options.text, model.options.training.seed)
    name, pairs = "pairs held out", validation
    if not len(pairs):
        name, pairs = "training pairs", training
    chosen = pairs.take(spread(len(pairs), MOST_PAIRS))
    own = {"attention": lambda: measure_attention(model, chosen, name)}
    if model.reader.network.layers is None:
        return View(NO_CELL, own)
    if model.options.model.input_feeding:
        return View(STEP_BY_STEP, own)
    return View(_subject(model, chosen, name), own)


def measure_attention(model: translation.Model, pairs: Parallel, name: str) -> Attention | Missing:
    """Where the network looks for each piece of the translations that it writes.

    Args:
        model: as `translation.load` gives it.
        pairs: sentences, of which some are shown, and their references.
        name: what a note calls them.
    """
    if model.options.model.attention == "none":
        return NO_ATTENTION
    some = pairs.take(spread(len(pairs), SHOWN))
    answers = list(translation.predict(model, some.sources))
    found = [
        Alignment(
            one.source,
            *translation.look_again(model, one),
            {"written": one.translations[0] or "(no words)", "reference": reference},
        )
        for one, reference in zip(answers, some.targets, strict=True)
    ]
    return Attention(
        found, [], f"{len(found)} {name}, spread evenly, not chosen by how good they are."
    )


def _subject(model: translation.Model, pairs: Parallel, name: str) -> Subject:
    network, mark = model.reader.network, model.reader.marks[1]
    encoded = encode(pairs, model.vocabulary)
    whole = encoded.batch(np.arange(len(pairs)))
    order = whole.steps.argsort(descending=True, stable=True)
    rows, steps = order[:ROWS], min(WINDOW, int(whole.steps[order[:ROWS]].min()))

    def losses() -> Tensor:
        memory = network.look(whole.source[:, rows], whole.lengths[rows])
        o, _, _ = network.read(whole.target[:steps, rows], memory)
        logits = network.choose(o).movedim(2, 1)
        return cross_entropy(logits, whole.target[1 : steps + 1, rows], reduction="none")

    def run(rows: Tensor, steps: int) -> None:
        with torch.no_grad():
            memory = network.look(whole.source[:, rows], whole.lengths[rows])
            x = network.enter_layers(whole.target[:steps, rows], memory)
            network.layers(x, memory.states, lengths=whole.steps[rows].clamp(max=steps))

    usual = Counter(int(piece) for own in encoded.targets for piece in own).most_common(1)
    number = usual[0][0] if usual else mark
    with torch.no_grad():
        memory = network.look(whole.source[:, :1], whole.lengths[:1])
        typical = network.enter_layers(torch.tensor([[number]]), memory)[0, 0]
    return Subject(
        network,
        "layers",
        losses,
        read=lambda: run(torch.arange(len(pairs)), int(whole.steps.max())),
        peek=lambda steps: run(order[:1], min(steps, int(whole.steps.max()))),
        tokens=tuple(piece for own in encoded.targets for piece in _to_pieces(model, own)),
        typical=typical,
        typical_name=f"input {_piece(model, number).strip()!r}",
        source=f"the references of {len(pairs)} {name}",
        windows=f"the first {steps} steps of the {len(rows)} longest of {len(pairs)} references",
    )


def _to_pieces(model: translation.Model, pieces: NDArray[np.int64]) -> list[str]:
    """What the decoder reads, a sentence a line."""
    *before, last = [_piece(model, number) for number in (model.reader.marks[1], *pieces.tolist())]
    return [*before, last.rstrip() + "\n"]


def _piece(model: translation.Model, number: int) -> str:
    if number == model.reader.marks[1]:
        return f"{BEGIN} "
    return model.vocabulary.target.decode([number])


TRANSLATION_RECIPE = Recipe(
    open_view,
    loss=translation.WATCHED,
    figures={"chrf": "chrF", "bleu": "BLEU"},
    sections=("attention",),
)

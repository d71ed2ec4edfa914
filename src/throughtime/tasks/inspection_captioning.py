"""What a report shows of a captioning run: its decoder, reading captions, and where it looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.buckets import pad
from throughtime.data.captions import Captioned
from throughtime.data.pictures import Source, name_of, read_picture, shrink
from throughtime.errors import DataError
from throughtime.tasks import captioning
from throughtime.tasks.captioning_pictures import clean, read_lists
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
from throughtime.web import Attention, Missing, SeenPicture

MOST_PICTURES = 64
"""Pictures whose captions are read."""

SHOWN = 8
"""Pictures for which it is shown where the network looked."""

SIDE = 160
"""Pixels of the longer side of a picture in the page."""

BEGIN = "⟨begin⟩"
"""How a page writes the mark that begins a caption."""

NO_ATTENTION = Missing("This run has no attention: all places of a picture count alike.")

STEP_BY_STEP = Missing(
    "With attention before the step, the layers run one step at a time, and what was seen stands "
    "between two steps; instruments that follow a whole sequence do not see through it."
)


def open_view(run: Path, asked: Asked) -> View:
    """A captioning run, with pictures it chose its weights on, or else those it learnt.

    Raises:
        DataError: a list or a picture cannot be read.
        PackageError: the encoder, or what reads a list, is not installed.
        RunError: the run cannot be used.
    """
    model = captioning.load(run)
    text = model.options.text
    training, validation = read_lists(text, model.options.training.seed)
    name, captioned = "pictures held out", validation
    if not len(captioned):
        name, captioned = "training pictures", training
    chosen = _readable(captioned, text.corrupt == "skip")
    own = {"attention": lambda: measure_attention(model, chosen, name)}
    if model.network.layers is None:
        return View(NO_CELL, own)
    if model.network.attention == "before":
        return View(STEP_BY_STEP, own)
    return View(_subject(model, chosen, name), own)


def _readable(captioned: Captioned, skips: bool) -> Captioned:
    """Pictures from all over the lists, those that cannot be read left out where the run does."""
    places = spread(len(captioned), MOST_PICTURES)
    if skips:
        places = [place for place in places if _can_read(captioned.pictures[place])]
    if not places:
        raise DataError(f"there must be a picture to look at, got none of {len(captioned):,}.")
    return captioned.take(places)


def _can_read(picture: Source) -> bool:
    try:
        read_picture(picture)
    except DataError:
        return False
    return True


def measure_attention(
    model: captioning.Model, captioned: Captioned, name: str
) -> Attention | Missing:
    """Where the network looks for each word of the captions that it writes.

    Args:
        model: as `captioning.load` gives it.
        captioned: pictures, of which some are shown, and their captions.
        name: what a note calls them.
    """
    if model.network.attention == "none":
        return NO_ATTENTION
    places = spread(len(captioned), SHOWN)
    some = captioned.take(places)
    found = [
        SeenPicture(
            one.captions[0] or "(no words)",
            one.words,
            one.maps,
            shrink(read_picture(picture), SIDE),
            _facts(one, picture, captions),
        )
        for one, picture, captions in zip(
            captioning.predict(model, some.pictures), some.pictures, some.captions, strict=True
        )
    ]
    return Attention(
        [], found, f"{len(found)} {name}, spread evenly, not chosen by how good they are."
    )


def _facts(one: captioning.Prediction, picture: Source, captions: Sequence[str]) -> dict[str, str]:
    written = one.captions[0] or "(no words)"
    return {
        "written": written if one.found[0].is_finished else f"{written} … (not finished)",
        "references" if len(captions) > 1 else "reference": " / ".join(map(clean, captions)),
        "picture": Path(name_of(picture)).name,
    }


def _subject(model: captioning.Model, captioned: Captioned, name: str) -> Subject:
    network, mark = model.network, model.tokens.size
    features = _encode(model, captioned.pictures)
    words = [_words(model, captions[0]) for captions in captioned.captions]
    tokens, ends = pad([np.array([mark, *own, mark]) for own in words])
    lengths = ends - 1  # what stands behind the last word is only foretold
    order = lengths.argsort(descending=True, stable=True)
    rows, steps = order[:ROWS], min(WINDOW, int(lengths[order[:ROWS]].min()))

    def losses() -> Tensor:
        logits, _ = network(features[rows], tokens[:steps, rows])
        return cross_entropy(logits.movedim(2, 1), tokens[1 : steps + 1, rows], reduction="none")

    def run(rows: Tensor, steps: int) -> None:
        with torch.no_grad():
            states = network.look(features[rows]).states
            read = network.embedding(tokens[:steps, rows])
            network.layers(read, states, lengths=lengths[rows].clamp(max=steps))

    usual = Counter(word for own in words for word in own).most_common(1)
    number = usual[0][0] if usual else mark
    return Subject(
        network,
        "layers",
        losses,
        read=lambda: run(torch.arange(len(words)), int(lengths.max())),
        peek=lambda steps: run(order[:1], min(steps, int(lengths.max()))),
        tokens=tuple(piece for own in words for piece in _to_pieces(model, own)),
        typical=network.embedding.weight[number].detach(),
        typical_name=f"input {_piece(model, number).strip()!r}",
        source=f"a caption of each of {len(words)} {name}",
        windows=f"the first {steps} steps of the {len(rows)} longest of {len(words)} captions",
    )


def _encode(model: captioning.Model, pictures: Sequence[Source]) -> Tensor:
    """The features of pictures as the network learnt from them, [N, P, F]."""
    side = model.encoder.side
    parts = [model.encoder.encode(read_picture(one, side)[None]) for one in pictures]
    return torch.from_numpy(np.concatenate(parts).astype(np.float16))


def _words(model: captioning.Model, caption: str) -> list[int]:
    """A caption as numbers, up to the longest length."""
    ids = model.tokens.encode(" " + clean(caption))
    return [int(word) for word in ids[: model.options.text.longest]]


def _to_pieces(model: captioning.Model, words: Sequence[int]) -> list[str]:
    """What the decoder reads, a caption a line."""
    *before, last = [_piece(model, word) for word in (model.tokens.size, *words)]
    return [*before, last.rstrip() + "\n"]


def _piece(model: captioning.Model, word: int) -> str:
    return f"{BEGIN} " if word == model.tokens.size else model.tokens.decode([word])


CAPTIONING_RECIPE = Recipe(
    open_view,
    loss=captioning.WATCHED,
    figures={"bleu_4": "BLEU-4", "cider": "CIDEr-D"},
    sections=("attention",),
)

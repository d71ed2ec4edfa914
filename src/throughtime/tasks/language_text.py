"""The text of a language model: read, split, cut into tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.text import Text, read_text
from throughtime.data.tokens import Tokens, build_tokens
from throughtime.tasks.language_score import Passage, passage
from throughtime.tasks.options import TextOptions


@dataclass(frozen=True)
class Texts:
    """Training and validation text, and what identifies them."""

    training: str
    validation: str
    """Empty without validation."""

    origin: dict[str, Any]
    """Sources and hashes, for the run folder."""


@dataclass(frozen=True)
class Corpus:
    """Training and validation text as tokens."""

    tokens: Tokens
    training: NDArray[np.int64]
    validation: Passage | None


def read_texts(options: TextOptions) -> Texts:
    """Reads the text and splits it by position.

        training = text[: (1 - validation_share) N],   validation = the rest

    of N characters, or all of it and the validation file. Words and pieces are not cut: there
    the split moves on to the next line, or the next blank where no line follows.

    Raises:
        DataError: a file cannot be read.
    """
    text = read_text(options.paths)
    origin: dict[str, Any] = {"training": _describe(text)}
    if options.validation is not None:
        held_out = read_text([options.validation])
        return Texts(text.text, held_out.text, origin | {"validation": _describe(held_out)})
    last = len(text.text) - 1
    cut = min(int((1 - options.validation_share) * len(text.text)), last)
    if not options.validation_share:
        cut = len(text.text)
    elif options.tokens != "characters":
        # Never behind the last character: the validation would be lost.
        cut = text.text.find("\n", cut, last) + 1 or text.text.find(" ", cut, last) + 1 or cut
    return Texts(text.text[:cut], text.text[cut:], origin)


def build_vocabulary(options: TextOptions, texts: Texts) -> Tokens:
    """The vocabulary of a new run.

    Characters are those of both texts, so that none in the validation is unknown; words and
    pieces are counted in the training text alone.
    """
    known = texts.training + (texts.validation if options.tokens == "characters" else "")
    return build_tokens(options.tokens, known, options.vocabulary)


def cut_texts(tokens: Tokens, texts: Texts) -> Corpus:
    """Both texts as tokens.

    Raises:
        DataError: the validation text is too short.
    """
    held_out = texts.validation
    validation = passage(tokens, held_out, "the validation text") if held_out else None
    return Corpus(tokens, tokens.encode(texts.training, "the training text"), validation)


def with_full_paths(options: TextOptions) -> TextOptions:
    """The same options, readable from any working directory."""
    paths = tuple(map(_full_path, options.paths))
    validation = options.validation and _full_path(options.validation)
    return replace(options, paths=paths, validation=validation)


def _full_path(path: str) -> str:
    return str(Path(path).absolute()) if path else path  # an empty one is refused when read


def _describe(text: Text) -> dict[str, Any]:
    return {
        "sha256": text.sha256,
        "characters": len(text.text),
        "sources": list(text.sources),
        "skipped": list(text.skipped),
    }

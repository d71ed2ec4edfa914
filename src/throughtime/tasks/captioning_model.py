"""A captioner as a run holds it: its network, its words, its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime import record
from throughtime.data.tokens import Tokens, tokens_from_json
from throughtime.errors import DataError, RunError
from throughtime.tasks.captioning_encoders import Encoder, open_encoder
from throughtime.tasks.captioning_network import Captioner
from throughtime.tasks.captioning_options import CaptioningOptions, read_captioning_options
from throughtime.tasks.weights import load_weights
from throughtime.training.memory import within_memory


@dataclass(frozen=True)
class Model:
    """A trained captioner and all that it needs to read a picture."""

    network: Captioner
    tokens: Tokens
    encoder: Encoder
    options: CaptioningOptions


def load(run: Path) -> Model:
    """The captioner of a run, ready to write; reads no pickle.

    Raises:
        PackageError: the encoder is not installed.
        RunError: the folder is no captioning run, is damaged, has no weights yet, or the encoder
            has other weights now.
    """
    options, tokens = read_captioning_options(run), read_tokens(run)
    encoder = open_encoder(str(options.text.encoder))
    network = build(options, tokens, read_shape(run))
    if (known := record.read_json(run / record.TEXT)["encoder"]) != encoder.about:
        raise RunError(
            f"the encoder must be that of the run, {known}, it is {encoder.about}; install the "
            "version it was trained with, or train anew."
        )
    load_weights(run, network)
    return Model(network.eval(), tokens, encoder, options)


def build(options: CaptioningOptions, tokens: Tokens, shape: Sequence[int]) -> Captioner:
    """A new network.

    Args:
        options: of the run.
        tokens: the vocabulary, behind which comes the mark.
        shape: places and features of each, (P, F).

    Raises:
        OptionError: it does not fit into memory.
    """
    with within_memory():
        return Captioner(tokens.size + 1, shape[0], shape[1], options.model)


def read_tokens(run: Path) -> Tokens:
    """The vocabulary of a run.

    Raises:
        RunError: it is damaged.
    """
    content: Any = record.read_json(run / record.TOKENS)
    try:
        return tokens_from_json(content)
    except DataError as error:
        raise record.damaged(run / record.TOKENS, "the words of the run", error) from error


def read_shape(run: Path) -> list[int]:
    """Places and features of each, as the run's pictures had them.

    Raises:
        RunError: what tells of them is damaged.
    """
    content = record.read_json(run / record.TEXT)
    try:
        places, features = content["features"]
        return [int(places), int(features)]
    except (KeyError, TypeError, ValueError) as error:
        raise record.damaged(run / record.TEXT, "what the run learnt from", error) from error

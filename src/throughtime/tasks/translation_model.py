"""A translator as a run holds it: its network and its pieces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from throughtime import record
from throughtime.errors import DataError
from throughtime.tasks.translation_network import Translator
from throughtime.tasks.translation_options import TranslationOptions, read_translation_options
from throughtime.tasks.translation_texts import Vocabulary
from throughtime.tasks.translation_write import Reader
from throughtime.tasks.weights import load_weights
from throughtime.training.memory import within_memory


@dataclass(frozen=True)
class Model:
    """A trained translator and all that it needs to read a sentence."""

    reader: Reader
    vocabulary: Vocabulary
    options: TranslationOptions


def load(run: Path) -> Model:
    """The translator of a run, ready to write; reads no pickle.

    Raises:
        RunError: the folder is no translation run, is damaged, or has no weights yet.
    """
    options, vocabulary = read_translation_options(run), read_vocabulary(run)
    reader = build(options, vocabulary)
    load_weights(run, reader.network)
    reader.network.eval()
    return Model(reader, vocabulary, options)


def build(options: TranslationOptions, vocabulary: Vocabulary) -> Reader:
    """A new network; the marks come behind the pieces.

    Raises:
        OptionError: it does not fit into memory.
    """
    marks = vocabulary.source.size, vocabulary.target.size
    with within_memory():
        return Reader(Translator(marks[0] + 1, marks[1] + 1, options.model), marks)


def read_vocabulary(run: Path) -> Vocabulary:
    """The pieces of a run.

    Raises:
        RunError: they are damaged.
    """
    content = record.read_json(run / record.TOKENS)
    try:
        return Vocabulary.from_json(content)
    except DataError as error:
        raise record.damaged(run / record.TOKENS, "the pieces of the run", error) from error

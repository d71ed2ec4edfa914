"""Pictures with captions each, read from tables and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.data.pictures import Source, name_of, to_source
from throughtime.data.tables import HUB, Table, read_table
from throughtime.errors import DataError

CAPTION_NAMES = ("captions", "caption")
"""Columns that are taken for the captions if no name is given."""


@dataclass(frozen=True)
class Captioned:
    """Pictures, and the captions of each.

    Example:
        >>> found = Captioned(["a.jpg", "b.jpg"], [["A dog .", "One dog"], ["Two cats ."]])
        >>> found.take([1]).captions, len(found), found.count
        ([['Two cats .']], 2, 3)
    """

    pictures: list[Source]
    captions: list[list[str]]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def count(self) -> int:
        """Captions of all pictures."""
        return sum(map(len, self.captions))

    def take(self, places: Sequence[int]) -> Captioned:
        """Some of them, in the order of the places."""
        return Captioned([self.pictures[i] for i in places], [self.captions[i] for i in places])

    def sha256(self) -> str:
        """A hash of the captions, their order and which belong together, hexadecimal."""
        found = hashlib.sha256()
        for captions in self.captions:
            found.update(len(captions).to_bytes(8, "big"))
            for caption in captions:
                part = caption.encode("utf-8", "surrogatepass")
                found.update(len(part).to_bytes(8, "big") + part)
        return found.hexdigest()


def read_captioned(paths: Sequence[str], picture: str, caption: str | None) -> Captioned:
    """The pictures and captions of tables, one after the other; no row is left out.

    A row has a list of captions or one; rows of the same picture are put together, at the place of
    the first. Names of pictures count from the folder of the table.

    Args:
        paths: files, or sets of Hugging Face, as `read_table` reads them.
        picture: the column of the pictures.
        caption: the column of the captions; without it `captions` or `caption`.

    Raises:
        DataError: a file cannot be read, has no such column, or a row has no picture or caption.
        PackageError: what reads a file is not installed.
    """
    found: dict[Source, list[str]] = {}
    for path in paths:
        table = read_table(path, (picture, CAPTION_NAMES[1] if caption is None else caption))
        name = _caption_column(path, table, caption)
        sources = _sources(path, table, picture)
        captions = [_captions(cell) for cell in table[name]]
        _refuse_rows(path, table, name, [not texts for texts in captions], "captions")
        for source, texts in zip(sources, captions, strict=True):
            found.setdefault(source, []).extend(texts)
    return Captioned(list(found), list(found.values()))


def read_sources(path: str, picture: str) -> list[Source]:
    """The pictures of a table, whether it has captions or not; no row is left out.

    Raises:
        DataError: the file cannot be read, has no such column, or a row has no picture.
        PackageError: what reads the file is not installed.
    """
    table = read_table(path, (picture, CAPTION_NAMES[1]))
    return _sources(path, table, picture)


def _sources(path: str, table: Table, picture: str) -> list[Source]:
    if picture not in table:
        raise _no_column(path, "picture", picture, "image", table)
    folder = Path() if path.startswith(HUB) else Path(path).parent
    sources = [to_source(cell, folder) for cell in table[picture]]
    _refuse_rows(path, table, picture, [source is None for source in sources], "a picture")
    return [source for source in sources if source is not None]


def _captions(cell: Any) -> list[str]:
    """The captions of a row; none where one of them is no text or blank."""
    texts = list(cell) if isinstance(cell, list | tuple) else [cell]
    fits = all(isinstance(text, str) and text.strip() for text in texts)
    return texts if fits else []


def _caption_column(path: str, table: Table, caption: str | None) -> str:
    for name in CAPTION_NAMES if caption is None else (caption,):
        if name in table:
            return name
    raise _no_column(path, "caption", caption or " or ".join(CAPTION_NAMES), "caption", table)


def _no_column(path: str, what: str, name: str, flag: str, table: Table) -> DataError:
    return DataError(
        f"{path} must have a column of {what}s named {name}, it has {', '.join(table) or 'none'}; "
        f"write --{flag}-column NAME."
    )


def _refuse_rows(path: str, table: Table, name: str, bad: Sequence[bool], what: str) -> None:
    if any(bad):
        row = list(bad).index(True)
        cell = table[name][row]
        shown = name_of(cell) if isinstance(cell, bytes) else repr(cell)[:40]
        raise DataError(
            f"{path} must have {what} in every row of {name}, {sum(bad):,} of {len(bad):,} have "
            f"none, the first is row {row + 1} with {shown}; mend or remove them."
        )

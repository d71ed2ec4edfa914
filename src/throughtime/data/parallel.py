"""Pairs of sentences in two languages, read from files side by side and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.data.tables import Table, is_table, read_table
from throughtime.data.text import read_file
from throughtime.errors import DataError

NESTED = "translation"
"""A column whose cells hold the sentences by language, as many sets of Hugging Face have it."""


@dataclass(frozen=True)
class Parallel:
    """Sentences, and what each means in another language.

    Example:
        >>> found = Parallel(["Guten Tag", "Danke"], ["Good day", "Thanks"])
        >>> found.take([1]), len(found)
        (Parallel(sources=['Danke'], targets=['Thanks']), 2)
    """

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, places: Sequence[int]) -> Parallel:
        """Some of them, in the order of the places."""
        return Parallel([self.sources[i] for i in places], [self.targets[i] for i in places])

    def origin(self) -> dict[str, Any]:
        """Count and hash, for the run folder."""
        found = hashlib.sha256()
        for text in (*self.sources, *self.targets):
            content = text.encode("utf-8", "surrogatepass")
            found.update(len(content).to_bytes(8, "big") + content)
        return {"pairs": len(self), "sha256": found.hexdigest()}


def read_parallel(paths: Sequence[str], source: str, target: str) -> Parallel:
    """The pairs of files, one set after the other; no pair is left out.

    A table holds pairs by itself. Any other file has a sentence a line, and comes with the file
    behind it, whose line n says what its own line n says.

    Args:
        paths: tables, or two files a set, that of the sources first.
        source: the column of the sources, in a table.
        target: that of the targets.

    Raises:
        DataError: a file cannot be read, has no partner, as many lines as its partner or such
            columns; or a sentence of a pair is empty.
        PackageError: what reads a table is not installed.
    """
    sources: list[str] = []
    targets: list[str] = []
    for names, mine, theirs in _sets(paths, source, target):
        _check_pairs(names, mine, theirs)
        sources += (text.strip() for text in mine)
        targets += (text.strip() for text in theirs)
    return Parallel(sources, targets)


def read_sentences(path: str, source: str) -> list[str]:
    """The sentences of a file, or those of a column of a table; none is left out.

    Raises:
        DataError: the file cannot be read, has no such column, or a row has no text.
        PackageError: what reads a table is not installed.
    """
    found = _column(path, read_table(path, (source,)), source) if is_table(path) else _lines(path)
    bad = [row for row, cell in enumerate(found, 1) if not isinstance(cell, str)]
    if bad:
        raise DataError(
            f"{path} must have text in every row of {source}, {len(bad):,} of {len(found):,} have "
            f"none, the first is row {bad[0]}; mend or remove them."
        )
    return found


def _sets(
    paths: Sequence[str], source: str, target: str
) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """What errors call a set, its sources and its targets."""
    waiting = ""
    for path in paths:
        if is_table(path):
            if waiting:
                break
            table = read_table(path, (source, target))
            yield path, _column(path, table, source), _column(path, table, target)
        elif waiting:
            mine, theirs = _lines(waiting), _lines(path)
            if len(mine) != len(theirs):
                raise DataError(
                    f"{path} must have a line for each line of {waiting}, {len(mine):,}, it has "
                    f"{len(theirs):,}; line up the two files."
                )
            yield f"{waiting} and {path}", mine, theirs
            waiting = ""
        else:
            waiting = path
    if waiting:
        raise DataError(
            f"{waiting} must come with the file of its translations behind it, it has none; name "
            "both, or a table with two columns."
        )


def _lines(path: str) -> list[str]:
    # No other sign than the end of a line ends a sentence: it may hold a form feed.
    lines = [line.removesuffix("\r") for line in read_file(Path(path)).split("\n")]
    return lines[:-1] if not lines[-1] else lines


def _column(path: str, table: Table, name: str) -> list[Any]:
    if name in table:
        return table[name]
    nested = table.get(NESTED, [])
    if nested and all(isinstance(cell, dict) and name in cell for cell in nested):
        return [cell[name] for cell in nested]
    raise DataError(
        f"{path} must have a column named {name}, it has {', '.join(table) or 'none'}; write "
        "--source-column NAME and --target-column NAME."
    )


def _check_pairs(names: str, sources: list[Any], targets: list[Any]) -> None:
    bad = [
        row
        for row, pair in enumerate(zip(sources, targets, strict=True), 1)
        if not all(isinstance(text, str) and text.strip() for text in pair)
    ]
    if bad:
        raise DataError(
            f"{names} must have two sentences a pair, {len(bad):,} of {len(sources):,} pairs lack "
            f"one, the first is line {bad[0]}; mend or remove them."
        )

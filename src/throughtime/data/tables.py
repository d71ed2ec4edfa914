"""Tables: named columns from TSV, CSV, JSON lines, Parquet and the sets of Hugging Face."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from throughtime.data.text import read_file
from throughtime.errors import DataError, PackageError

Table = dict[str, list[Any]]
"""Cells by column, all columns equally long; None where a row has no such cell."""

HUB = "hf:"
"""What the name of a set of Hugging Face begins with, `hf:OWNER/NAME:SPLIT`."""


SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".parquet")


def is_table(path: str) -> bool:
    """Whether a name is that of a table."""
    return path.startswith(HUB) or Path(path).suffix.lower() in SUFFIXES


def full_path(path: str) -> str:
    """The name of a table as it can be read from any working directory.

    Example:
        >>> full_path("hf:owner/name:train"), full_path("/a/b.tsv")
        ('hf:owner/name:train', '/a/b.tsv')
    """
    return path if not path or path.startswith(HUB) else str(Path(path).absolute())


def read_table(path: str, names: Sequence[str]) -> Table:
    """The columns of a table, by its suffix.

        .tsv        cells between tabs, no quotes
        .csv        cells between commas, quoted where they hold one (RFC 4180)
        .jsonl      an object a line; also .ndjson
        .parquet    needs pyarrow
        hf:NAME:SPLIT   needs the package datasets, and a network the first time

    The first line of a .tsv or .csv is a header if one of its cells is in `names`. Without a
    header the columns are the names, in their order.

    Args:
        path: the file.
        names: columns that are looked for.

    Raises:
        DataError: the file cannot be read, is of another kind, or has rows of unequal length.
        PackageError: what reads this kind is not installed.
    """
    if not is_table(path):
        raise DataError(
            f"a table must be a file that ends in {', '.join(SUFFIXES)}, or {HUB}NAME:SPLIT, got "
            f"{path or 'an empty name'}; rename or convert it."
        )
    if path.startswith(HUB):
        return _read_hub(path)
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        return _read_json_lines(path)
    rows = list(_split_tabs(path) if suffix == ".tsv" else _split_commas(path))
    if not rows:
        raise DataError(f"{path} must hold a table, it holds blanks only; name another file.")
    return _name_columns(path, rows, names)


def _split_tabs(path: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells; lines without any character have none."""
    # No other sign than the end of a line ends a row: a text may hold a form feed.
    for number, line in enumerate(read_file(Path(path)).split("\n"), 1):
        if line := line.removesuffix("\r"):
            yield number, line.split("\t")


def _split_commas(path: str) -> Iterator[tuple[int, list[str]]]:
    lines = io.StringIO(read_file(Path(path)), newline="")
    before = csv.field_size_limit(sys.maxsize)  # else a cell ends at 131,072 characters
    try:
        reader = csv.reader(lines, strict=True)
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(
            f"{path} must be CSV, line {reader.line_num} gives: {error}; put cells with commas, "
            "quotes or line ends in double quotes."
        ) from error
    finally:
        csv.field_size_limit(before)


def _name_columns(path: str, rows: list[tuple[int, list[str]]], names: Sequence[str]) -> Table:
    first = [cell.strip() for cell in rows[0][1]]
    has_header = bool(set(first) & set(names))
    header = first if has_header else list(names[: len(first)])
    if len(set(header)) < len(header):
        raise DataError(
            f"{path} must name each column once, got {', '.join(header)}; rename one of them."
        )
    rows = rows[has_header:]
    odd = [(number, cells) for number, cells in rows if len(cells) != len(header)]
    if odd:
        number, cells = odd[0]
        what = f"named {', '.join(header)}" if has_header else "as the table has no header"
        raise DataError(
            f"{path} must have {len(header)} cells a row, {what}, {len(odd):,} of {len(rows):,} "
            f"rows have not, the first is line {number} with {len(cells)}; mend the rows, or name "
            "the columns in the first line."
        )
    if not has_header:
        _refuse_hidden_header(path, [cells[-1] for _, cells in rows])
    columns = zip(*(cells for _, cells in rows), strict=True) if rows else ([] for _ in header)
    return dict(zip(header, map(list, columns), strict=True))


def _refuse_hidden_header(path: str, labels: list[str]) -> None:
    """Refuses a first line whose label no other line has, where the others' come again."""
    counts = Counter(labels)
    if counts[labels[0]] == 1 and len(labels) > len(counts) > 2:
        raise DataError(
            f"{path} must have a header with the columns' names or none at all, its first line "
            f"ends in {labels[0]!r}, as none of the {len(labels) - 1:,} others does; if it is a "
            "header, write --text-column and --label-column."
        )


def _read_json_lines(path: str) -> Table:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(read_file(Path(path)).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            row = str(error)
        if not isinstance(row, dict):
            raise DataError(
                f"{path} must hold a JSON object a line, line {number} is none "
                f"({str(row)[:60]}); mend the line."
            )
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(path: str) -> Table:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table as read
    except ImportError as error:
        raise _missing("pyarrow", path, "convert the file to .jsonl") from error
    try:
        table: Table = read(path).to_pydict()
    except (ArrowException, OSError) as error:
        raise DataError(
            f"{path} must be a readable Parquet file, reading it gives: {error}; check the path."
        ) from error
    return table


def _read_hub(name: str) -> Table:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise _missing("datasets", name, "name a file of your own") from error
    place, _, split = name.removeprefix(HUB).partition(":")
    if not place or not split:
        raise DataError(
            f"a set of Hugging Face must be named {HUB}NAME:SPLIT, got {name}; "
            f"write for instance {HUB}owner/name:train."
        )
    try:
        found = load_dataset(place, split=split)
    except Exception as error:  # it has as many as there are places a set can be in
        raise DataError(
            f"{name} must be a set that can be loaded, loading gives {type(error).__name__}: "
            f"{error}; check the name, the split and the network."
        ) from error
    spell: Callable[[str, Any], Any] = _spell_classes(found.features)
    return {column: [spell(column, cell) for cell in found[column]] for column in found.features}


def _spell_classes(features: Any) -> Callable[[str, Any], Any]:
    """Classes by the names that the set gives its numbers."""

    def spell(column: str, cell: Any) -> Any:
        kind = features[column]
        return kind.int2str(cell) if hasattr(kind, "int2str") and cell is not None else cell

    return spell


def _missing(package: str, path: str, else_: str) -> PackageError:
    return PackageError(
        f"reading {path} needs the package {package}, it is not installed; "
        f"pip install {package}, or {else_}."
    )

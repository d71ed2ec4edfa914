"""Text, read from files, folders and globs, with what identifies it."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from throughtime.errors import DataError

_NOT_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Text:
    """A text and where it came from."""

    text: str = field(repr=False)
    """The characters of all files, one file after the other."""

    sources: tuple[str, ...]
    """The files that were read, in their order."""

    skipped: tuple[str, ...]
    """Files found in a folder that are empty or no UTF-8 text."""

    sha256: str
    """Hash of the text in UTF-8, hexadecimal."""


def read_text(paths: Sequence[str | Path] = ()) -> Text:
    """The text of files, folders and globs; without any, Python's standard library.

    Folders are read with all folders below them, in sorted order. Hidden files are left out,
    and so are files found in a folder that are empty or no UTF-8 text; a file that is named
    or matched by a glob must be text.

    Args:
        paths: files, folders or globs (`**` matches any depth), read in this order; a file
            named twice is read once.

    Returns:
        The joined text, its sources and its hash.

    Raises:
        DataError: a path is missing, a glob matches nothing, a named file is empty, binary
            or not UTF-8, or nothing readable was found.
    """
    if not paths:
        return standard_library()
    files: dict[Path, bool] = {}
    for path in paths:
        for file, is_named in _find(str(path)):
            files[file] = files.get(file, False) or is_named
    return _join(files, " ".join(str(path) for path in paths))


def standard_library() -> Text:
    """The source code of the running Python's standard library, without its tests.

    Real text that every machine has: all `.py` files below `sysconfig.get_path("stdlib")`
    in sorted order, without test folders and installed packages, about 12 MB.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = [file for file in _walk(root, _NOT_LIBRARY) if file.suffix == ".py"]
    return _join(dict.fromkeys(files, False), f"the standard library in {root}")


def _find(path: str) -> Iterator[tuple[Path, bool]]:
    """The files behind one argument, and whether the user means each of them."""
    if not path:
        raise DataError(
            "text must be a file, folder or glob, got an empty path; "
            "give one, or look for a variable of the shell that is not set."
        )
    if os.path.isdir(path):
        yield from ((file, False) for file in _walk(Path(path)))
    elif os.path.exists(path):
        yield Path(path), True
    elif any(sign in path for sign in "*?["):
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise DataError(f"the glob must match a file, {path} matches none; check the path.")
        for match in matches:
            if not os.path.isdir(match):
                yield Path(match), True
    else:
        raise DataError(
            f"text must be a file, folder or glob that exists, {path} does not; check the path."
        )


def _walk(root: Path, leave_out: set[str] | None = None) -> Iterator[Path]:
    """The files below a folder, sorted, without hidden ones and the folders to leave out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in (leave_out or ())
        )
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name)


def _join(files: dict[Path, bool], asked: str) -> Text:
    pieces, sources, skipped = [], [], []
    for file, is_named in files.items():
        try:
            pieces.append(read_file(file))
            sources.append(str(file))
        except DataError:
            if is_named:
                raise
            skipped.append(str(file))
    text = "".join(pieces)
    if not text:
        raise DataError(
            f"a text must hold at least one UTF-8 file, {asked} holds none "
            f"({len(skipped)} empty or binary); name a text file."
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Text(text, tuple(sources), tuple(skipped), digest)


def read_file(file: Path) -> str:
    """The characters of one UTF-8 file, line ends included, a byte-order mark left out.

    Raises:
        DataError: the file is empty, binary, not UTF-8 or cannot be opened.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file} must be a readable file, the system says: {error.strerror}; "
            "check its name and permissions."
        ) from error
    if content in (b"", codecs.BOM_UTF8):
        raise DataError(f"{file} must hold text, it is empty; name another file.")
    if (zero := content.find(0)) >= 0:
        raise DataError(
            f"{file} must be UTF-8 text, byte {zero} is 0x00; binary files are no text."
        )
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} must be UTF-8 text, byte {error.start} is 0x{content[error.start]:02x}; "
            "convert it, for instance with iconv."
        ) from error

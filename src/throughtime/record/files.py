"""Files written so that no crash can spoil them, and read so that damage is named."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from throughtime.errors import RunError


def write_atomically(file: Path, content: bytes) -> None:
    """Replaces a file whole or not at all, whenever the machine stops.

    Raises:
        RunError: the disk is full or the folder cannot be written; the earlier file is as
            it was.
    """
    part = file.with_name(f".{file.name}.part")
    with writing(file):
        try:
            with part.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(part, file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_json(file: Path, data: Any) -> None:
    """Writes one JSON file, whole or not at all."""
    write_atomically(file, (json.dumps(data, ensure_ascii=True) + "\n").encode())


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunError: the file is missing or no JSON.
    """
    try:
        return json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise damaged(file, "JSON", error) from error


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Says in one sentence what the system's refusal to write means.

    Raises:
        RunError: the system refused.
    """
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "free some space; the earlier files are whole",
            errno.EDQUOT: "free some of your quota; the earlier files are whole",
            errno.EROFS: "choose a folder that can be written",
            errno.EACCES: "choose a folder that can be written",
        }.get(error.errno or 0, "choose another folder")
        raise RunError(
            f"{file} must be written, the system says: {error.strerror}; {remedy}."
        ) from error


def read_bytes(file: Path) -> bytes:
    """The content of a file of a run.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise RunError(
            f"{file} must be a readable file of the run, the system says: {error.strerror}; "
            "restore it or train anew."
        ) from error


def damaged(file: Path, expected: str, came: object) -> RunError:
    """The error of a file that does not hold what it should."""
    first_line = str(came).split("\n", 1)[0]
    return RunError(
        f"{file} must hold {expected}, it is damaged ({first_line}); restore it or train anew."
    )

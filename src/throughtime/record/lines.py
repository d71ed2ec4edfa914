"""JSON lines: appended while training, cut back to a checkpoint, read."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from throughtime.record.files import damaged, read_bytes, writing
from throughtime.record.folder import FLIGHT, METRICS


class Lines:
    """A file of JSON lines, open for appending.

    Args:
        file: of a run.
        length: bytes to keep, the rest is cut off; a crash may have left more than the
            checkpoint knows.

    Raises:
        RunError: the file cannot be written, or is shorter than `length`.
    """

    def __init__(self, file: Path, length: int) -> None:
        self.file = file
        with writing(file):
            # Unbuffered: every line is with the system once `add` returns.
            self._opened = file.open("ab", buffering=0)
            found = self._opened.seek(0, os.SEEK_END)
            if found >= length:
                self._opened.truncate(length)
        if found < length:
            self._opened.close()
            raise damaged(file, f"at least {length} bytes", f"only {found} bytes")
        self.length = length

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends one object."""
        content = (json.dumps(line) + "\n").encode()
        with writing(self.file):
            written = self._opened.write(content)
            if written != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.length += len(content)

    def sync(self) -> None:
        """Waits until every line is on the disk."""
        with writing(self.file):
            os.fsync(self._opened.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._opened.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics; a last line that a crash cut short is left out.

    Raises:
        RunError: the file is missing, or a whole line is no JSON.
    """
    return _read_lines(folder / METRICS)


def read_flight(folder: Path) -> list[dict[str, Any]]:
    """The lines of the flight recorder, as `read_metrics`; none where nothing was recorded.

    Raises:
        RunError: a whole line is no JSON.
    """
    file = folder / FLIGHT
    return _read_lines(file) if file.exists() else []


def _read_lines(file: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in read_bytes(file).split(b"\n")[:-1]]
    except (ValueError, RecursionError) as error:
        raise damaged(file, "JSON lines", error) from error
    if not all(isinstance(line, dict) for line in lines):
        raise damaged(file, "JSON objects", "a line is none")
    return lines

"""Where a run goes, and how its lines are shown."""

from __future__ import annotations

import os
import time
from pathlib import Path


def new_folder(task: str) -> Path:
    """A folder named after the task and the moment, in `runs`, that does not exist yet."""
    first = Path("runs", f"{task}-{time.strftime('%Y%m%d-%H%M%S')}")
    later = (first.with_name(f"{first.name}-{n}") for n in range(2, 1000))
    return next(folder for folder in (first, *later) if not folder.exists())


def say(line: str) -> None:
    """Prints a line at once; of several processes that train together the first alone does."""
    if is_first():
        print(line, flush=True)


def is_first() -> bool:
    """Whether this is the only process, or the first of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"

"""Progress: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_EVERY_S = 10.0
LIVE_EVERY_S = 0.25

Announce = Callable[[str], None]


class Progress(Protocol):
    """Shows how far a training has come."""

    def __enter__(self) -> Progress:
        """Begins to show."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends."""
        ...

    def update(self, made: int, loss: float, steps: int) -> None:
        """One more update: how many are made, its loss, and the steps it ran."""
        ...

    def say(self, line: str) -> None:
        """Shows a line that stays."""
        ...


def progress(total: int, made: int, announce: Announce) -> Progress:
    """A live line if stdout is a terminal, else a line every ten seconds.

    Args:
        total: updates of the whole training.
        made: updates made before.
        announce: prints a line.
    """
    return Live(total, made) if sys.stdout.isatty() else Plain(total, made, announce)


class _Pace:
    """Speed since the start, and whether it is time to show it again."""

    def __init__(self, total: int, made: int, every_s: float) -> None:
        self.total, self.first, self.every_s = total, made, every_s
        self.steps, self.loss = 0, 0.0
        self.began = self.shown = time.perf_counter()

    def is_due(self, made: int, loss: float, steps: int) -> bool:
        # A running mean over some 20 updates: a single loss jumps too much to be read.
        self.loss = loss if not self.steps else 0.95 * self.loss + 0.05 * loss
        self.steps += steps
        now = time.perf_counter()
        if now - self.shown < self.every_s and made < self.total:
            return False
        self.shown = now
        return True

    def describe(self, made: int) -> str:
        spent = max(1e-9, time.perf_counter() - self.began)
        left = spent / max(1, made - self.first) * (self.total - made)
        return f"loss {self.loss:.4f} · {self.steps / spent:,.0f} steps/s · {clock(left)} left"


def clock(seconds: float) -> str:
    """A duration to read.

    Example:
        >>> clock(75), clock(4000)
        ('1:15', '1:06:40')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Plain:
    """A line now and then, for files and pipes."""

    def __init__(self, total: int, made: int, announce: Announce) -> None:
        self.announce = announce
        self.pace = _Pace(total, made, PLAIN_EVERY_S)

    def __enter__(self) -> Plain:
        """Begins to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""

    def update(self, made: int, loss: float, steps: int) -> None:
        """One more update."""
        if self.pace.is_due(made, loss, steps):
            self.announce(f"update {made:,}/{self.pace.total:,} · {self.pace.describe(made)}")

    def say(self, line: str) -> None:
        """Shows a line."""
        self.announce(line)


class Live:
    """One line that changes, on a terminal."""

    def __init__(self, total: int, made: int) -> None:
        self.pace = _Pace(total, made, LIVE_EVERY_S)
        self.made = made
        self.bar: RichProgress | None = None

    def __enter__(self) -> Live:
        """Begins to show."""
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        # Refreshed by `update`, not by a thread: data loaders fork this process.
        columns = (BarColumn(24), TaskProgressColumn(), TextColumn("{task.description}"))
        self.bar = RichProgress(*columns, auto_refresh=False, transient=True)
        self.bar.start()
        self.task = self.bar.add_task("starting", total=self.pace.total, completed=self.made)
        self.bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""
        assert self.bar is not None
        self.bar.stop()

    def update(self, made: int, loss: float, steps: int) -> None:
        """One more update."""
        assert self.bar is not None
        if self.pace.is_due(made, loss, steps):
            text = self.pace.describe(made)
            self.bar.update(self.task, completed=made, description=text, refresh=True)

    def say(self, line: str) -> None:
        """Shows a line above the live one."""
        assert self.bar is not None
        self.bar.console.print(line, highlight=False, markup=False)

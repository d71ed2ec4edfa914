"""Ctrl-C: the first one asks, the second one stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Turns the first Ctrl-C into a question that training answers after its update.

    Example:
        >>> with Interrupt() as interrupt:
        ...     interrupt.asked
        False
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        """Begins to listen; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves Ctrl-C as it was."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


def ignore_interrupts(worker: int) -> None:
    """Lets a loading process live through Ctrl-C: the training ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

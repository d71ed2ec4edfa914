"""Networks too large for the machine, said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from throughtime.errors import OptionError

_SIGNS = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")


@contextmanager
def within_memory() -> Iterator[None]:
    """Says what it means that torch cannot have the memory it asks for.

    Raises:
        OptionError: the memory does not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in _SIGNS):
            raise
        raise OptionError(
            "the network and its batches must fit into memory, the system has too little; "
            "make the network smaller, or the batch, or the sequences shorter."
        ) from error

"""`throughtime replay`: where a training met its first number that is not finite."""

from __future__ import annotations

from pathlib import Path


def replay(run: Path, /) -> None:
    """Take the step again that ended a training, and name its first number that is not finite.

    The flight recorder keeps the step when a loss or gradient is not finite: batch, state, weights
    and random state.

    Args:
        run: Folder of a run.
    """
    from throughtime.tasks import replay as replaying

    found = replaying.replay(run)
    print(f"update {found.update:,}: loss {found.loss:.4g}, norm of the gradient {found.norm:.4g}")
    print(f"the same as when it was kept: {'yes, to the bit' if found.is_exact else 'no'}")
    if found.place is None:
        print("every number is finite")
    elif found.place.passage == "norm":
        print("every number is finite, but the squares of the gradient add up to more than fits")
        print(f"the largest state or gradient: {found.place}")
    else:
        print(f"the first that is not finite: {found.place}")

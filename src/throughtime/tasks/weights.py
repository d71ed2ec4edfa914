"""The network of a run, as it was at its best validation."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from throughtime import record
from throughtime.errors import RunError


def load_weights(run: Path, network: nn.Module) -> None:
    """Gives a network the weights of a run; reads no pickle.

    With validation these are the weights of the best one, without it the latest.

    Raises:
        RunError: the run is damaged, has no weights yet, or they are of another network.
    """
    weights = record.read_weights(run)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(
            f"{run / record.WEIGHTS} must fit {record.CONFIG}, it does not "
            f"({str(error).splitlines()[-1].strip()}); restore both from one run."
        ) from error

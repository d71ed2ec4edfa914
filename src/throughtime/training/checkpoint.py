"""The checkpoint: all that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from throughtime.bptt import Carry
from throughtime.errors import RunError
from throughtime.generators import capture_generators
from throughtime.record import CHECKPOINT, FORMAT, check_format, write_atomically


@dataclass
class Position:
    """Where a training stands, beside its weights and its optimiser."""

    update: int = 0
    """Updates made; the schedule and the batches are functions of it."""

    carry: Carry | None = None
    """State and inputs carried into the next window."""

    best: float | None = None
    """Best validation so far."""

    misses: int = 0
    """Validations since the best one."""

    finished: bool = False
    """Whether training has ended, by its last update or by its patience."""

    loss_sum: float = 0.0
    """Sum of the losses since the last line of metrics."""

    loss_count: int = 0
    """Number of the losses since the last line of metrics."""

    elapsed_s: float = 0.0
    """Seconds spent training and validating."""

    metrics_bytes: int = 0
    """Length of the metrics file."""

    average: list[Tensor] | None = None
    """Average of the weights, a tensor for each parameter; None without one."""

    flight: dict[str, Any] | None = None
    """Where the flight recorder stands; None without one."""

    generators: dict[str, Any] = field(default_factory=capture_generators, repr=False)
    """Random state before the next update."""


_CARRIED = ("update", "best", "misses", "finished", "loss_sum", "loss_count", "elapsed_s")


def save_checkpoint(run: Path, network: nn.Module, optimizer: Optimizer, at: Position) -> None:
    """Writes one file of plain tensors, numbers and text, whole or not at all.

    Raises:
        RunError: the folder cannot be written; the earlier checkpoint stays.
    """
    content = {name: getattr(at, name) for name in (*_CARRIED, "metrics_bytes", "generators")}
    content |= {
        "format": FORMAT,
        "model": dict(network.state_dict()),
        "optimizer": optimizer.state_dict(),
        "carry": _plain(at.carry),
        "average": at.average,
        "flight": at.flight,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(run / CHECKPOINT, buffer.getvalue())


def load_checkpoint(run: Path, network: nn.Module, optimizer: Optimizer) -> Position:
    """Puts weights and optimiser back and gives the position; unpickles plain values only.

    Raises:
        RunError: the file is missing, damaged, hostile, of a newer format, or of another
            network.
    """
    file = run / CHECKPOINT
    if not file.is_file():
        raise RunError(f"a run must hold {CHECKPOINT} to go on, {run} does not; train anew.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wonders about foreign pickles
            content = torch.load(file, map_location="cpu", weights_only=True)
        version = content["format"]
    except Exception as error:  # whatever a foreign file may raise
        raise _unusable(file, error, line=0) from error
    check_format(version, file)
    try:
        network.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        carry = None if content["carry"] is None else Carry(*content["carry"])
        plain = {name: content[name] for name in (*_CARRIED, "metrics_bytes", "generators")}
        average, flight = _average(content, network), content.get("flight")
        return Position(carry=carry, average=average, flight=flight, **plain)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        # torch lists what does not fit below a line that names the network's class.
        raise _unusable(file, error, line=-1) from error


def _average(content: dict[str, Any], network: nn.Module) -> list[Tensor] | None:
    """The average of the weights, if the run keeps one."""
    average = content.get("average")
    if average is None:
        return None
    if [mean.shape for mean in average] != [weight.shape for weight in network.parameters()]:
        raise ValueError("the average has other shapes than the weights")
    return list(average)


def _unusable(file: Path, error: Exception, line: int) -> RunError:
    lines = str(error).strip().splitlines() or ["it holds nothing"]
    return RunError(
        f"{file} must be a checkpoint of this run, reading it gave {type(error).__name__}: "
        f"{lines[line].strip().rstrip('.')}; restore the file or train anew."
    )


def _plain(state: Any) -> Any:
    """The same state in tuples and tensors of its own memory."""
    if isinstance(state, Tensor):
        return state.detach().clone()  # a view would save all that it looks into
    return None if state is None else tuple(map(_plain, state))

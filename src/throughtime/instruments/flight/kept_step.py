"""One step, kept whole in a folder so that it can be taken again: nothing in it is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from throughtime import __version__, record
from throughtime.bptt import Carry
from throughtime.cells import HiddenState, LSTMState
from throughtime.errors import OptionError, RunError
from throughtime.layers import States

STEP, TENSORS = "step.json", "step.safetensors"

_PLAIN = (bool, int, float, str, type(None))
_STATES: dict[int, Any] = {1: HiddenState, 2: LSTMState}
_CONTAINERS = ((Carry, "carry"), (States, "states"), (tuple, "tuple"), (list, "list"))


@dataclass
class KeptStep:
    """All that a step is a function of, and what it came to.

    Args:
        update: its number, from 1.
        batch: what it read: tensors, numbers and text in tuples, lists and dictionaries.
        carry: the state it began with.
        generators: of random numbers, before it, as `generators.capture_generators` gives them.
        weights: the model's state before it, by name.
        is_training: whether the model was in training mode.
        loss: as it came out, perhaps not finite; None where it was not known.
        norm: of the gradient; None as of the loss.
        recent: the updates before it, the latest last: number, loss, norm, whether clipped.
    """

    update: int
    batch: Any
    carry: Any
    generators: dict[str, Any]
    weights: Mapping[str, Tensor]
    is_training: bool
    loss: float | None
    norm: float | None
    recent: list[list[Any]] = field(default_factory=list)


def check_can_be_kept(name: str, value: Any) -> None:
    """Refuses what could only be pickled.

    Raises:
        OptionError: something in it is neither a tensor nor plain.
    """
    _pack(value, name, {})


def write_step(folder: Path, step: KeptStep) -> None:
    """Writes a step into a folder; the file that says what the others mean comes last.

    Raises:
        RunError: the folder cannot be written.
    """
    with record.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STEP).unlink(missing_ok=True)
    tensors: dict[str, Tensor] = {}
    content = {
        "format": record.FORMAT,
        "throughtime": __version__,
        "update": step.update,
        "is_training": step.is_training,
        "loss": _spell(step.loss),
        "norm": _spell(step.norm),
        "recent": [[_spell(value) for value in update] for update in step.recent],
        "batch": _pack(step.batch, "batch", tensors),
        "carry": _pack(step.carry, "carry", tensors),
        "generators": _pack(step.generators, "generators", tensors),
    }
    record.write_weights(folder, step.weights)
    record.write_tensors(folder / TENSORS, tensors)
    record.write_json(folder / STEP, content)


def read_step(folder: Path) -> KeptStep:
    """A step as it was kept.

    Raises:
        RunError: there is none, or it is damaged.
    """
    file = folder / STEP
    if not file.is_file():
        raise RunError(
            f"a step to replay must be in {folder}, there is none; one is kept when a loss or "
            "gradient is not finite while the flight recorder is on (--record-every above 0)."
        )
    content = record.read_json(file)
    if not isinstance(content, dict) or "format" not in content:
        raise record.damaged(file, "a kept step", "no format number")
    record.check_format(content["format"], file)
    tensors = record.read_tensors(folder / TENSORS)
    try:
        return KeptStep(
            update=int(content["update"]),
            batch=_unpack(content["batch"], tensors),
            carry=_unpack(content["carry"], tensors),
            generators=_unpack(content["generators"], tensors),
            weights=record.read_weights(folder),
            is_training=content["is_training"] is True,
            loss=_number(content["loss"]),
            norm=_number(content["norm"]),
            recent=[[float(number) for number in update] for update in content["recent"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise record.damaged(file, "a kept step", f"{type(error).__name__}: {error}") from error


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON that names the tensors, which are put aside."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, np.ndarray):
        tensors[path] = torch.from_numpy(value)
        return {"array": path}
    if isinstance(value, _PLAIN):
        return {"plain": _spell(value)}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {k: _pack(part, f"{path}.{k}", tensors) for k, part in value.items()}}
    for kind, name in _CONTAINERS:
        if isinstance(value, kind) and _is_known(value):
            return {name: [_pack(part, f"{path}.{i}", tensors) for i, part in enumerate(value)]}
    raise OptionError(
        f"{path} must be tensors, numbers and text in tuples, lists and dictionaries to be kept, "
        f"got {type(value).__name__}; hand the recorder what it is made of."
    )


def _unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "plain":
        return content
    if kind == "dict":
        return {name: _unpack(part, tensors) for name, part in content.items()}
    parts = [_unpack(part, tensors) for part in content]
    if kind == "carry":
        return Carry(*parts)
    if kind == "states":
        return States(_named(part) for part in parts)
    return {"tuple": tuple, "list": list}[kind](parts)


def _is_known(value: Any) -> bool:
    """Whether a container can be made again: of states those of our cells alone."""
    return not isinstance(value, States) or all(type(layer) in _STATES.values() for layer in value)


def _named(fields: tuple[Tensor, ...]) -> Any:
    """A layer's state as a layer gives it."""
    return _STATES[len(fields)](*fields)


def _spell(value: Any) -> Any:
    """A number as strict JSON can hold it."""
    is_number = isinstance(value, float) and not np.isfinite(value)
    return str(value) if is_number else value


def _number(value: Any) -> float | None:
    return None if value is None else float(value)

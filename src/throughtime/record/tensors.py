"""Tensors by name in a safetensors file: no code runs when it is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.errors import RunError
from throughtime.record import files
from throughtime.record.files import damaged
from throughtime.record.folder import WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

_ALIASES = "throughtime.tied"  # key of the file's metadata: {name: name it is tied to}


def write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes the weights of a network, as its `state_dict()` gives them."""
    write_tensors(folder / WEIGHTS, tensors)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a run by name, tied ones under each of their names; nothing is unpickled.

    Raises:
        RunError: there are no weights yet, or the file is damaged.
    """
    file = folder / WEIGHTS
    if not file.is_file():
        raise RunError(
            f"a run must hold {WEIGHTS} to be used, {folder} does not; "
            f"it was stopped before its first checkpoint, go on with `--resume {folder}`."
        )
    return read_tensors(file)


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors by name, whole or not at all.

    Tensors that share their memory (tied weights) are stored once, and their names kept.
    """
    from safetensors.torch import save

    first: dict[tuple[Any, ...], str] = {}
    tied: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            tied[name] = first[place]
        else:
            first[place] = name
    # Clones: safetensors refuses views that look into the same memory.
    kept = {name: t.detach().clone() for name, t in tensors.items() if name not in tied}
    kept = {name: t.contiguous() for name, t in kept.items()}
    content = save(kept, {_ALIASES: json.dumps(tied)})  # one key: two have no fixed order
    files.write_atomically(file, content)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, tied ones under each of their names.

    Raises:
        RunError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
            tied = json.loads((opened.metadata() or {}).get(_ALIASES, "{}"))
        return tensors | {name: tensors[other] for name, other in tied.items()}
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise damaged(file, "safetensors", error) from error

"""The state of every source of random numbers, as plain values."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def seed_generators(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def raw_generators() -> tuple[Any, Any, Any]:
    """The state of the three global generators in their own forms, some microseconds' work."""
    return random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()


def capture_generators(raw: tuple[Any, Any, Any] | None = None) -> dict[str, Any]:
    """The state of the three global generators: tensors, numbers and lists only.

    Args:
        raw: of an earlier moment, as `raw_generators` gave it; None for now.
    """
    (version, words, gauss), numpy, own = raw_generators() if raw is None else raw
    return {
        "python": [version, list(words), gauss],
        "numpy": {
            "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64)),
            "pos": int(numpy["state"]["pos"]),
            "has_gauss": int(numpy["has_gauss"]),
            "gauss": float(numpy["gauss"]),
        },
        "torch": own,
    }


def restore_generators(state: dict[str, Any]) -> None:
    """Sets the three global generators to a captured state."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    numpy = state["numpy"]
    key = numpy["key"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy["pos"], numpy["has_gauss"], numpy["gauss"]))
    torch.set_rng_state(state["torch"])

"""The features of a run's pictures: computed where they are missing, and kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import distributed

from throughtime.data.pictures import Source, hash_of, name_of, read_picture
from throughtime.errors import DataError
from throughtime.record.feature_file import FeatureFile
from throughtime.tasks.captioning_encoders import Encoder
from throughtime.training.processes import join
from throughtime.training.progress import PLAIN_EVERY_S, Announce, clock

FLIPPED = "-flipped"
"""What the key of a picture's mirror image ends in."""

_AT_ONCE, _ROUNDS = 16, 32  # pictures encoded side by side; times that, between two writes


def open_features(folder: Path, encoder: Encoder) -> FeatureFile:
    """The file of an encoder's features in a folder.

    Raises:
        RunError: it is damaged, or other weights made it.
    """
    safe = "".join(sign if sign.isalnum() or sign in "-._" else "_" for sign in encoder.name)
    return FeatureFile(folder / safe, encoder.about, encoder.shape)


def hash_pictures(sources: Sequence[Source]) -> tuple[list[str], dict[str, str]]:
    """The keys of pictures that can be read, and why the others cannot, by their names.

    Returns:
        A key for each, empty for those that cannot be read.
    """
    keys, unreadable = [], {}
    for source in sources:
        try:
            keys.append(hash_of(source))
        except DataError as error:
            keys.append("")
            unreadable[name_of(source)] = str(error)
    return keys, unreadable


def extend_features(
    features: FeatureFile,
    encoder: Encoder,
    pictures: Mapping[str, Source],
    is_flipped: bool,
    announce: Announce,
) -> dict[str, str]:
    """Computes the features that are missing; what is there stays, and a stop loses little.

    Processes that train together share the work, and wait for each other.

    Args:
        features: where they are kept.
        encoder: makes them.
        pictures: by their keys.
        is_flipped: whether the mirror images' are needed, too.
        announce: prints a line.

    Returns:
        Why pictures could not be read, by their keys.
    """
    keys = [*pictures, *(key + FLIPPED for key in pictures)] if is_flipped else [*pictures]
    missing, team = features.missing(keys), join()
    if missing:
        announce(
            f"Features: {len(missing):,} of {len(keys):,} pictures and mirror images have none by "
            f"{encoder.name} in {features.numbers}, which are computed now"
        )
    _encode_all(features, encoder, pictures, missing[team.rank :: team.size], announce)
    if team.size > 1:
        distributed.barrier()
        features.refresh()
    return {key: _reason(pictures[key]) for key in features.missing([*pictures])}


def _encode_all(
    features: FeatureFile,
    encoder: Encoder,
    pictures: Mapping[str, Source],
    missing: Sequence[str],
    announce: Announce,
) -> None:
    began = shown = time.perf_counter()
    for first in range(0, len(missing), _AT_ONCE * _ROUNDS):
        part = missing[first : first + _AT_ONCE * _ROUNDS]
        done: list[str] = []
        found = []
        for start in range(0, len(part), _AT_ONCE):
            read = _read_all(pictures, part[start : start + _AT_ONCE], encoder.side)
            if read:
                done += read
                found.append(encoder.encode(np.stack([*read.values()])).astype(np.float16))
            if (now := time.perf_counter()) - shown >= PLAIN_EVERY_S:
                shown, made = now, first + start + _AT_ONCE
                left = (now - began) / made * max(0, len(missing) - made)
                announce(f"features {made:,}/{len(missing):,} · {clock(left)} left")
        if found:
            features.add(done, np.concatenate(found))


def _read_all(
    pictures: Mapping[str, Source], keys: Sequence[str], side: int
) -> dict[str, NDArray[np.uint8]]:
    """The pictures that can be read, mirrored where the key says so."""
    found = {}
    for key in keys:
        try:
            picture = read_picture(pictures[key.removesuffix(FLIPPED)], side)
        except DataError:
            continue  # the caller says why
        found[key] = picture[:, ::-1] if key.endswith(FLIPPED) else picture
    return found


def _reason(source: Source) -> str:
    try:
        read_picture(source)
    except DataError as error:
        return str(error)
    return f"{name_of(source)} must stay as it is while it is read, it changed; train again."

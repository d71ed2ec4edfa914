"""Jacobians and fixed points of a run for its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from throughtime.instruments import Keep, Tape, fixed_points, jacobians, lyapunov, watch
from throughtime.tasks.inspection_subject import Subject, name_places, watch_losses
from throughtime.web import FixedPoints, LayerPoints, LayerSpectra, Missing, Spectra

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

FEWEST_STEPS, MOST_STEPS = 8, 32
"""Steps whose Jacobians are taken."""

SHOWN_STEPS = 12
"""Steps whose eigenvalues are shown."""

LARGEST = 512
"""Numbers of a state, S, up to which fixed points are searched."""

FEWEST_CANDIDATES, MOST_CANDIDATES = 4, 64
"""States that the search begins at."""

SLOW = 1e-3
"""q up to which a point is shown: slow points, too."""

_WORK = 2e9  # steps times S^3 for the Jacobians of a run, some ten seconds
_SEARCH = 2e8  # the same of candidates


def measure_spectra(subject: Subject, tape: Tape) -> Spectra:
    """Eigenvalues of Jacobians, their products, and the Lyapunov spectrum of one row.

    Args:
        subject: the network.
        tape: of any call of it, for its sizes.
    """
    layers = tape.recording(subject.layers).layers
    size = max(sum(field.shape[-1] for field in layer.states) for layer in layers)
    steps = max(FEWEST_STEPS, min(MOST_STEPS, int(_WORK / size**3)))
    found = jacobians(_watch_steps(subject, steps), subject.layers, rows=[0])
    many = _watch_steps(subject, 8 * steps)
    warm_up = min(steps, many.recording(subject.layers).layers[0].shape[0] // 2)
    exponents = lyapunov(many, subject.layers, rows=[0], warm_up=warm_up)["exponents"]
    return _spectra(found, exponents)


def _spectra(found: Dataset, exponents: DataArray) -> Spectra:
    layers, steps = [], found.sizes["time"]
    shown = np.unique(np.linspace(0, steps - 1, SHOWN_STEPS).astype(int))
    for layer, direction, name in name_places(found.sizes["layer"], found.sizes["direction"]):
        own = found.isel(layer=layer, direction=direction, batch=0).dropna("mode", how="all")
        values = own["eigenvalues"].values[shown]
        bound = own["log_bound"].values
        layers.append(
            LayerSpectra(
                name,
                shown,
                values.real.astype(np.float16),
                values.imag.astype(np.float16),
                own["spectral_radius"].values[shown],
                np.exp(own["log_norm"].values),
                None if np.isnan(bound).all() else np.exp(bound),
                exponents.isel(layer=layer, direction=direction).dropna("mode").values,
            )
        )
    return Spectra(layers, f"{steps} steps of one row, of which {len(shown)} are shown.")


def measure_points(subject: Subject) -> FixedPoints | Missing:
    """Fixed points under the usual input, from states visited while reading."""
    tape = watch_losses(subject, slice(None))
    layers = tape.recording(subject.layers).layers
    if layers[0].num_directions == 2:
        return Missing(
            "This run reads in both directions at once, so that no state of it goes on by itself; "
            "fixed points are searched in runs of one direction."
        )
    size = sum(field.shape[-1] for layer in layers for field in layer.states)
    if size > LARGEST:
        return Missing(
            f"The state of this run has {size:,} numbers; fixed points are searched here up to "
            f"{LARGEST}, and beyond by tt.instruments.fixed_points, which takes minutes."
        )
    candidates = max(FEWEST_CANDIDATES, min(MOST_CANDIDATES, int(_SEARCH / size**3)))
    found = fixed_points(
        tape, subject.layers, x=subject.typical, candidates=candidates, steps=150, slowest=SLOW
    )
    return _points(subject, found)


def _points(subject: Subject, found: Dataset) -> FixedPoints:
    """What was found, seen in the plane of the two principal components of visited states."""
    visited = found["visited"].values  # [T, B, S]
    states = visited.reshape(-1, visited.shape[-1])
    states = states[np.isfinite(states).all(1)]
    mean = states.mean(0)
    _, sizes, axes = np.linalg.svd(states - mean, full_matrices=False)
    plane = axes[:2].T  # [S, 2]
    share = sizes**2 / (sizes**2).sum()
    paths = ((visited - mean) @ plane).swapaxes(0, 1)[:8]  # [R, T, 2]
    one = LayerPoints(
        subject.typical_name,
        (found["s"].values - mean) @ plane,
        found["q"].values,
        np.abs(found["eigenvalues"].values).max(1),
        found["num_unstable"].values,
        paths.astype(np.float16),
        [float(part) for part in share[:2]],
    )
    counts = found.attrs
    return FixedPoints(
        [one],
        f"Of {counts['candidates']} visited states that the search began at, {counts['not_slow']} "
        f"came to no fixed point and {counts['outliers']} to one that is never visited; read: "
        f"{subject.windows}.",
    )


def _watch_steps(subject: Subject, steps: int) -> Tape:
    """The tape of a few steps of one row."""
    with watch(subject.network, Keep(what={"inputs", "states", "weights"})) as tape:
        subject.peek(steps)
    return tape

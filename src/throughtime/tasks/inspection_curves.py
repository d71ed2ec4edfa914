"""What a run's own files say of it: its losses by update, and what a reader should know first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.training.progress import clock
from throughtime.web import Curves, Missing

MOST_POINTS = 500
"""Points of a training curve."""

LOSSES = ("nats_per_token", "squared_error", "nats_per_step", "nats_per_image")
"""The losses of the tasks, as metrics name them."""

_WORDS = {
    "hidden": "hidden units",
    "lr": "learning rate",
    "init": "weights begin",
    "by": "reads by",
}

Lines = Sequence[Mapping[str, Any]]


def read_curves(lines: Lines) -> Curves | Missing:
    """The learning curves of a run's metrics, as `read_metrics` gives them."""
    loss = next((name for name in LOSSES if any(name in line for line in lines)), None)
    if loss is None:
        return Missing("This run made no update yet, so it has no learning curve.")
    update, training = _points(lines, "train", loss)
    group = max(1, -(-len(update) // MOST_POINTS))
    starts = np.arange(0, len(update), group)
    ends = np.minimum(starts + group, len(update))
    means = np.add.reduceat(training, starts) / (ends - starts)
    baseline = next((line["baseline"] for line in lines if "baseline" in line), None)
    note = f"Each point of the training loss is the mean of {group} lines of the metrics."
    return Curves(
        loss.replace("_", " "),
        update[ends - 1],
        means,
        *_points(lines, "validation", loss),
        baseline,
        note if group > 1 else "",
    )


def _points(lines: Lines, kind: str, loss: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    own = [line for line in lines if line.get("kind") == kind and loss in line]
    return (
        np.array([line["update"] for line in own], np.int64),
        np.array([line[loss] for line in own], np.float64),
    )


def describe_run(config: Mapping[str, Any], lines: Lines) -> dict[str, str]:
    """What a reader should know of a run, by what it is called.

    Args:
        config: as `read_config` gives it.
        lines: as `read_metrics` gives them.
    """
    facts = {"task": config["task"]}
    for section in ("model", "problem", "training"):
        own = config["options"].get(section) or {}
        for name in ("cell", "hidden", "layers", "init", "steps", "by", "lr", "seed"):
            if own.get(name) is not None:
                facts[_WORDS.get(name, name)] = own[name]
    if lines:
        facts["updates"] = f"{lines[-1]['update']:,}"
        facts["training time"] = clock(lines[-1]["elapsed_s"])
    for loss in LOSSES:
        scores = [line[loss] for line in lines if line.get("kind") == "validation" and loss in line]
        if scores:
            facts[f"best {loss.replace('_', ' ')}, held out"] = f"{min(scores):.4f}"
    facts["made with"] = f"throughtime {config.get('throughtime', 'of an earlier version')}"
    return {name: str(fact) for name, fact in facts.items()}

"""What a run's own files say of it: its losses by update, and what a reader should know first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.tasks.inspection_subject import Recipe
from throughtime.training.progress import clock
from throughtime.web import Curves, Missing

MOST_POINTS = 500
"""Points of a training curve."""

_TOLD = (
    *("cell", "hidden", "layers", "bidirectional", "causal", "pooling", "attention", "encoder"),
    *("init", "steps", "by", "lr", "seed"),
)
"""Options that a reader should know."""

_WORDS = {
    "hidden": "hidden units",
    "lr": "learning rate",
    "init": "weights begin",
    "by": "reads by",
    "bidirectional": "reads both ways",
    "causal": "labels from the past alone",
}

Lines = Sequence[Mapping[str, Any]]


def read_curves(lines: Lines, loss: str) -> Curves | Missing:
    """The learning curves of a run.

    Args:
        lines: its metrics, as `read_metrics` gives them.
        loss: the loss, as they name it.
    """
    if not any(loss in line for line in lines):
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


def describe_run(config: Mapping[str, Any], lines: Lines, recipe: Recipe) -> dict[str, str]:
    """What a reader should know of a run, by what it is called.

    Args:
        config: as `read_config` gives it.
        lines: as `read_metrics` gives them.
        recipe: of its task.
    """
    facts = {"task": config["task"]}
    for section in ("model", "problem", "text", "training"):
        own = config["options"].get(section) or {}
        for name in _TOLD:
            if own.get(name) is not None:
                facts[_WORDS.get(name, name)] = _say(own[name])
    if lines:
        facts["updates"] = f"{lines[-1]['update']:,}"
        facts["training time"] = clock(lines[-1]["elapsed_s"])
    for name, word in {recipe.loss: recipe.loss.replace("_", " "), **recipe.figures}.items():
        scores = [line[name] for line in lines if line.get("kind") == "validation" and name in line]
        if scores:
            best = min(scores) if name == recipe.loss else max(scores)
            facts[f"best {word}, held out"] = f"{best:.4f}"
    facts["made with"] = f"throughtime {config.get('throughtime', 'of an earlier version')}"
    return {name: str(fact) for name, fact in facts.items()}


def _say(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

"""The step of a run whose loss or gradient was not finite, taken again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

from throughtime import record
from throughtime.errors import RunError
from throughtime.instruments import Replay
from throughtime.instruments import replay as replay_step
from throughtime.tasks import (
    captioning,
    language_model,
    memory,
    mnist,
    sentiment,
    translation,
    video,
)
from throughtime.tasks.captioning_options import CAPTIONING
from throughtime.tasks.memory_options import Task
from throughtime.tasks.mnist_options import MNIST
from throughtime.tasks.options import TASK
from throughtime.tasks.sentiment_options import SENTIMENT
from throughtime.tasks.translation_options import TRANSLATION
from throughtime.tasks.video_options import VIDEO
from throughtime.training.job import Trained

_TASKS: dict[str, Callable[[Path], Trained]] = {
    TASK: language_model.rebuild,
    **dict.fromkeys(get_args(Task), memory.rebuild),
    MNIST: mnist.rebuild,
    SENTIMENT: sentiment.rebuild,
    TRANSLATION: translation.rebuild,
    CAPTIONING: captioning.rebuild,
    VIDEO: video.rebuild,
}


def replay(run: Path) -> Replay:
    """Takes the kept step of a run again and names the first number that is not finite.

    Args:
        run: the run folder.

    Raises:
        RunError: the folder is no run, has kept no step, or is damaged.
    """
    task = record.read_config(run)["task"]
    if task not in _TASKS:
        raise RunError(
            f"the run must be of the task {' or '.join(_TASKS)}, {run} is of {task}; "
            "name another run."
        )
    network, step = _TASKS[task](run)
    return replay_step(run / record.CRASH, network, step)

"""From a run to what its report shows: one place that knows which recipe serves which task.

A task says what a report of its runs shows in a `Recipe` of its own, in `inspection_NAME.py`, and
has a row here. Its `open` loads the run and gives a `View`: the recurrent layers with something to
read, on which every instrument works, and its own sections, such as an `Attention`.
"""

from __future__ import annotations

from pathlib import Path

from throughtime import record
from throughtime.errors import RunError
from throughtime.tasks.captioning_options import CAPTIONING
from throughtime.tasks.inspection_captioning import CAPTIONING_RECIPE
from throughtime.tasks.inspection_language import LANGUAGE_RECIPE
from throughtime.tasks.inspection_numbers import ADDING_RECIPE, COPY_RECIPE, MNIST_RECIPE
from throughtime.tasks.inspection_sentiment import SENTIMENT_RECIPE
from throughtime.tasks.inspection_subject import Asked, Recipe
from throughtime.tasks.inspection_translation import TRANSLATION_RECIPE
from throughtime.tasks.inspection_video import VIDEO_RECIPE
from throughtime.tasks.mnist_options import MNIST
from throughtime.tasks.options import TASK
from throughtime.tasks.sentiment_options import SENTIMENT
from throughtime.tasks.translation_options import TRANSLATION
from throughtime.tasks.video_options import VIDEO

RECIPES: dict[str, Recipe] = {
    TASK: LANGUAGE_RECIPE,
    "adding": ADDING_RECIPE,
    "copy": COPY_RECIPE,
    MNIST: MNIST_RECIPE,
    SENTIMENT: SENTIMENT_RECIPE,
    TRANSLATION: TRANSLATION_RECIPE,
    CAPTIONING: CAPTIONING_RECIPE,
    VIDEO: VIDEO_RECIPE,
}
"""What a report of each task shows, by the task's name in the run folder."""


def recipe_of(run: Path, asked: Asked) -> Recipe:
    """What a report of a run shows.

    Raises:
        RunError: the folder is no run, is of a task that this version does not know, or is to read
            a text and reads none.
    """
    task = str(record.read_config(run)["task"])
    if task not in RECIPES:
        raise RunError(
            f"inspect must get a run of the task {', '.join(RECIPES)}, {run} is of {task}; update "
            "throughtime."
        )
    recipe = RECIPES[task]
    if not recipe.reads_text and (asked.text is not None or asked.prompt is not None):
        raise RunError(
            f"a text must be for a run of {TASK}, {run} is of {task}; leave the text out."
        )
    return recipe

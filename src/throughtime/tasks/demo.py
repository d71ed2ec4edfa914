"""The demo: an LSTM and a plain RNN read the same text for the same number of updates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.nn.functional import cross_entropy

from throughtime import record
from throughtime.data.text import read_file, standard_library
from throughtime.instruments import (
    Credit,
    credit,
    draw_credit_by_lag,
    figure_of,
    save_figure,
    watch,
)
from throughtime.instruments.horizon import LOST
from throughtime.tasks.language_model import load, train
from throughtime.tasks.language_sample import write
from throughtime.tasks.options import (
    LanguageModelOptions,
    ModelOptions,
    TextOptions,
    TrainingOptions,
)
from throughtime.training.progress import Announce

CELLS: Mapping[str, Literal["lstm", "rnn"]] = {"LSTM": "lstm", "tanh RNN": "rnn"}
"""The models that are compared, by the name to show; each run's folder has its cell's name."""


@dataclass(frozen=True)
class Size:
    """How much work the demo is; fixed updates, so that a seed gives the same numbers anywhere."""

    updates: int = 600
    hidden: int = 256
    batch: int = 32
    window: int = 128
    lr: float = 0.008
    validations: int = 6
    validation_characters: int = 65_537
    lags: int = 150
    """Steps back that the gradient is followed, T."""
    windows: int = 256
    """Places of the validation text where it is followed."""


def compare(
    out: Path, seed: int = 1, size: Size = Size(), announce: Announce = print
) -> dict[str, Path]:
    """Trains both models on the source code of Python's standard library.

    Both read the same characters in the same order and see each of them once.

    Args:
        out: a new folder for the texts and the runs.
        seed: of the weights.
        size: how much work it is.
        announce: prints a line.

    Returns:
        The run folders by name.

    Raises:
        KeyboardInterrupt: the user stopped it; the run that was stopped is saved.
        RunError: the folder is in the way or cannot be written.
    """
    # All options first: one that is refused leaves nothing behind.
    options = {name: _options(_texts(out), cell, seed, size) for name, cell in CELLS.items()}
    record.create(out)
    write_texts(out, size)
    runs = {}
    for name, cell in CELLS.items():
        announce(f"\n{name}")
        summary = train(options[name], out / cell, announce)
        if summary.interrupted:
            raise KeyboardInterrupt
        runs[name] = summary.run
    return runs


def _texts(out: Path) -> TextOptions:
    return TextOptions(paths=(str(out / "training.txt"),), validation=str(out / "validation.txt"))


def write_texts(out: Path, size: Size) -> None:
    """Writes as much of the standard library as the updates read, and what follows it.

    Args:
        out: where to write.
        size: how much work it is.

    Raises:
        RunError: the files cannot be written.
    """
    text = standard_library().text
    read = size.updates * size.batch * size.window + 1
    held_out = text[read:][: size.validation_characters]
    record.write_atomically(out / "training.txt", text[:read].encode())
    record.write_atomically(out / "validation.txt", held_out.encode())


def _options(
    text: TextOptions, cell: Literal["lstm", "rnn"], seed: int, size: Size
) -> LanguageModelOptions:
    model = ModelOptions(cell=cell, hidden=size.hidden, layers=1, dropout=0.0)
    training = TrainingOptions(
        window=size.window,
        batch=size.batch,
        epochs=1,
        lr=size.lr,
        warmup=min(50, size.updates // 4),
        shuffle=False,
        validate_every=max(1, size.updates // size.validations),
        seed=seed,
    )
    return LanguageModelOptions(text, model, training)


def validation_curve(run: Path) -> dict[int, float]:
    """Bits per character on the validation text, by the updates made before.

    Raises:
        RunError: the run's metrics cannot be read.
    """
    lines = record.read_metrics(run)
    return {
        line["update"]: line["bits_per_character"] for line in lines if line["kind"] == "validation"
    }


def measure_reach(run: Path, size: Size = Size()) -> Credit:
    """How far back the gradient of a run's loss reaches on its validation text.

    The loss of one character, at many places spread over the text; the state at the beginning
    of each stretch is that after the characters before it.

    Args:
        run: the run folder.
        size: how many steps back and at how many places.

    Raises:
        RunError: the run cannot be used.
    """
    model, tokens, options = load(run)
    text = read_file(Path(str(options.text.validation)))
    ids = torch.from_numpy(tokens.encode(text, "the validation text"))
    steps = 2 * size.lags  # the first half only makes the state
    starts = torch.linspace(0, len(ids) - steps - 1, size.windows).long()
    places = torch.arange(steps + 1)[:, None] + starts  # [2T+1, B]
    stretches = ids[places]
    with torch.no_grad():
        _, state = model.unroll(stretches[: size.lags])
    with watch(model) as tape:
        hidden, _ = model.unroll(stretches[size.lags : -1], state)
        # a sum over places: the gradient of each row is its own
        loss = cross_entropy(model.readout(hidden[-1]), stretches[-1], reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]
    return credit(tape, last=1)


def draw_reach(found: Mapping[str, Credit], out: Path, size: Size = Size()) -> Path:
    """Draws how far both gradients reach, as PNG and SVG.

    Args:
        found: what was measured, by the name to show.
        out: the folder for `gradient_flow.png` and `.svg`.
        size: what the note says.

    Returns:
        The PNG.
    """
    note = (
        f"One layer of {size.hidden} units after {size.updates} updates on the characters of "
        "Python's standard library.\n"
        f"Line: mean over {size.windows} places of the validation text, T = {size.lags}. "
        "Shade: the middle half of them."
    )
    figure = figure_of(lambda ax: draw_credit_by_lag(found, ax), reach_title(found), note)
    return save_figure(figure, out / "gradient_flow")[0]


def reach_title(found: Mapping[str, Credit]) -> str:
    """What the picture of two models shows, as a sentence.

    A gradient is lost where it is under the resolution of float32, next to that of lag 0.
    """
    horizons = {name: credit.memory_horizon(share=LOST) for name, credit in found.items()}
    near, far = sorted(found, key=lambda name: horizons[name].lag or math.inf)
    longest, lost, left = horizons[far].measured, horizons[near].lag, horizons[far].lag
    if lost is None:
        return f"Both gradients live past {longest} steps"
    rest = f"lives past {longest}" if left is None else f"after {left}"
    return f"The {near}'s gradient is lost after {lost} steps, the {far}'s {rest}"


def write_python(run: Path, seed: int, lines: int = 20) -> Iterator[str]:
    """Lines of Python as a run imagines them, piece by piece.

    Args:
        run: the run folder.
        seed: the same seed gives the same lines.
        lines: how many.
    """
    left = lines
    for piece in write(run, "def ", length=200 * lines, temperature=0.7, seed=seed):
        yield piece
        left -= piece.count("\n")
        if left <= 0:
            return

"""What an inspection looks at: the network of a run, and what it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from throughtime import record
from throughtime.data.text import read_text
from throughtime.errors import DataError, RunError
from throughtime.instruments import Tape, watch
from throughtime.tasks import language_model
from throughtime.tasks.language_network import LanguageModel
from throughtime.tasks.language_sample import write
from throughtime.tasks.language_text import read_texts
from throughtime.tasks.memory_options import read_memory_options
from throughtime.tasks.memory_problems import build_problem
from throughtime.tasks.mnist_options import MNIST
from throughtime.tasks.network import Network
from throughtime.tasks.options import TASK
from throughtime.tasks.weights import load_weights

WINDOW, ROWS = 128, 16
"""Steps of the windows that gradients are followed through, and how many of them."""

MOST_TOKENS = 8192
"""Tokens of a text that are read."""

WRITTEN = 1000
"""Tokens that a run writes after a prompt."""


@dataclass(frozen=True)
class Subject:
    """A trained network in evaluation mode, and what it is shown."""

    network: nn.Module

    layers: str
    """The name of its recurrent layers in it."""

    losses: Callable[[], Tensor]
    """Reads some windows side by side: the loss of the last A steps of each, [A, B]."""

    read: Callable[[], None]
    """Reads the text from its beginning as one row; without a text, what `losses` reads."""

    peek: Callable[[int], None]
    """Reads so many steps of one row, the last call of the layers, from a state it has reached."""

    tokens: tuple[str, ...]
    """The text that `read` reads, token by token; empty without one."""

    typical: Tensor
    """The input of a usual step, [I]."""

    typical_name: str

    source: str
    """What is read, for a note."""


def open_subject(run: Path, text: Path | None = None, prompt: str | None = None) -> Subject:
    """The network of a run, and what it is shown.

    Args:
        run: the run folder.
        text: what a language model reads; without it, its validation text.
        prompt: what a language model begins to write with, instead of a text.

    Raises:
        DataError: the text cannot be read, is too short, or has unknown characters.
        RunError: the run cannot be used, or it reads no text and was given one.
    """
    task = record.read_config(run)["task"]
    if task == TASK:
        return _reader(run, text, prompt)
    if text or prompt is not None:
        raise RunError(
            f"a text must be for a run of {TASK}, {run} is of {task}; leave the text out."
        )
    if task == MNIST:
        return _image_watcher(run)
    return _rememberer(run)


def _reader(run: Path, text: Path | None, prompt: str | None) -> Subject:
    model, tokens, _ = language_model.load(run)
    name, content = _content(run, text, prompt)
    ids = tokens.encode(content, name)[:MOST_TOKENS]
    if len(ids) < 3:
        raise DataError(
            f"{name} must have at least 3 tokens to be looked at, got {len(ids)}; give more text."
        )
    stream = torch.from_numpy(ids)[:, None]  # [N, 1]

    def read() -> None:
        with torch.no_grad():
            model.unroll(stream)

    def peek(steps: int) -> None:
        first = max(0, min(WINDOW, len(ids) - steps))
        with torch.no_grad():
            _, state = model.unroll(stream[:first]) if first else (None, None)
            model.unroll(stream[first : first + steps], state)

    usual = int(np.bincount(ids).argmax())
    return Subject(
        model,
        "layers",
        _windows(model, ids),
        read,
        peek,
        tuple(tokens.decode([token]) for token in ids.tolist()),
        model.embedding.weight[usual].detach(),
        f"input {tokens.decode([usual])!r}",
        f"{name}, {len(ids):,} tokens",
    )


def _content(run: Path, text: Path | None, prompt: str | None) -> tuple[str, str]:
    """What a language model reads, after what it is called."""
    if prompt is not None:
        return "what it writes", "".join(write(run, prompt, length=WRITTEN))
    if text is not None:
        return "the text", read_text([str(text)]).text
    texts = read_texts(language_model.read_options(run).text)
    if texts.validation:
        return "the validation text", texts.validation
    return "the training text", texts.training


def _windows(model: LanguageModel, ids: NDArray[np.int64]) -> Callable[[], Tensor]:
    """Windows spread over a text; the state of each is that after the steps before it."""
    steps = max(1, min(WINDOW, (len(ids) - 1) // 2))
    starts = np.unique(np.linspace(0, len(ids) - 1 - 2 * steps, ROWS).astype(int))
    stretches = torch.from_numpy(ids[np.arange(2 * steps + 1)[:, None] + starts])  # [2T + 1, B]
    with torch.no_grad():
        _, state = model.unroll(stretches[:steps])

    def losses() -> Tensor:
        logits, _ = model(stretches[steps:-1], state)
        return cross_entropy(logits.movedim(2, 1), stretches[steps + 1 :], reduction="none")

    return losses


def _rememberer(run: Path) -> Subject:
    task, options = read_memory_options(run)
    problem = build_problem(task, options.problem.steps)
    steps = options.problem.steps
    network = Network(problem.inputs, problem.outputs, problem.asked, options.model, steps)
    x, target = problem.draw(ROWS, options.training.seed, 0)

    def losses() -> Tensor:
        y = network(x)
        if problem.asked == 1:
            error: Tensor = y.squeeze(-1) - target
            return error.square()
        return cross_entropy(y.movedim(2, 1), target, reduction="none")

    return _of_numbers(run, network, x, losses, f"{ROWS} new sequences of {len(x)} steps")


def _image_watcher(run: Path) -> Subject:
    from throughtime.tasks import mnist

    network, x, target = mnist.open_images(run, ROWS)

    def losses() -> Tensor:
        return cross_entropy(network(x).movedim(2, 1), target[None], reduction="none")

    return _of_numbers(run, network, x, losses, f"{ROWS} images held out")


def _of_numbers(
    run: Path, network: Network, x: Tensor, losses: Callable[[], Tensor], source: str
) -> Subject:
    """A network that reads numbers; the usual input is the median of every feature."""
    load_weights(run, network)
    network.eval()

    def read() -> None:
        with torch.no_grad():
            network(x)

    def peek(steps: int) -> None:
        with torch.no_grad():
            network(x[:steps, :1])

    usual = x.flatten(0, 1).median(dim=0).values
    return Subject(network, "layer", losses, read, peek, (), usual, "the median input", source)


def watch_losses(subject: Subject, which: slice) -> Tape:
    """The tape of a forward and a backward pass from some of the losses."""
    with watch(subject.network) as tape:
        torch.autograd.backward(subject.losses()[which].sum())
    return tape


def layer_names(layers: int) -> list[str]:
    """What the layers are called, from the input upwards."""
    return [f"layer {layer}" for layer in range(layers)]

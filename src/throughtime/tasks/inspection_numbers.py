"""What a report shows of runs that read numbers: the memory tasks, and images read in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, no_grad
from torch.nn.functional import cross_entropy

from throughtime.tasks import mnist
from throughtime.tasks.inspection_subject import ROWS, Asked, Recipe, Subject, View
from throughtime.tasks.memory_options import read_memory_options
from throughtime.tasks.memory_problems import build_problem
from throughtime.tasks.network import Network
from throughtime.tasks.weights import load_weights


def open_memory(run: Path, asked: Asked) -> View:
    """A run of a memory task, with new sequences.

    Raises:
        RunError: the run cannot be used.
    """
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

    return _view(run, network, x, losses, f"{ROWS} new sequences of {len(x)} steps")


def open_mnist(run: Path, asked: Asked) -> View:
    """A run that reads images, with some that were held out.

    Raises:
        DataError: the images cannot be read.
        RunError: the run cannot be used.
    """
    network, x, target = mnist.open_images(run, ROWS)

    def losses() -> Tensor:
        return cross_entropy(network(x).movedim(2, 1), target[None], reduction="none")

    return _view(run, network, x, losses, f"{ROWS} images held out")


def _view(
    run: Path, network: Network, x: Tensor, losses: Callable[[], Tensor], source: str
) -> View:
    """A network that reads numbers; the usual input is the median of every feature."""
    load_weights(run, network)
    network.eval()

    def read() -> None:
        with no_grad():
            network(x)

    def peek(steps: int) -> None:
        with no_grad():
            network(x[:steps, :1])

    usual = x.flatten(0, 1).median(dim=0).values
    name = "the median input"
    return View(Subject(network, "layer", losses, read, peek, (), usual, name, source, source))


ADDING_RECIPE = Recipe(open_memory, loss="squared_error")
COPY_RECIPE = Recipe(open_memory, loss="nats_per_step")
MNIST_RECIPE = Recipe(open_mnist, loss=mnist.WATCHED, figures={"share_right": "share right"})

"""Sequential MNIST: digits read row by row or pixel by pixel; trained, resumed, evaluated."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from throughtime import record
from throughtime.bptt import Carry
from throughtime.data.mnist import CLASSES, HELD_OUT, Digits, read_digits
from throughtime.errors import DataError, OptionError, RunError
from throughtime.generators import seed_generators
from throughtime.tasks.mnist_options import MNIST, ImageOptions, MnistOptions, read_mnist_options
from throughtime.tasks.network import Network
from throughtime.tasks.weights import load_weights
from throughtime.training.job import Job, Step, Trained
from throughtime.training.memory import within_memory
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

WATCHED = "nats_per_image"

_AT_ONCE = 500  # images scored side by side, so that little memory is needed


@dataclass(frozen=True)
class Score:
    """How well digits were recognised."""

    images: int
    """Images that were shown."""

    nats_per_image: float
    """-ln p(the digit | its image), averaged."""

    share_right: float
    """Of the likeliest digits."""


@dataclass(frozen=True)
class Scale:
    """Pixels as numbers around 0: (p - mean) / deviation, both those of the training images."""

    mean: float
    deviation: float


def scale_of(digits: Digits) -> Scale:
    """Mean and standard deviation of all pixels; a deviation of 1 where all are equal."""
    counts = np.bincount(digits.images.ravel(), minlength=256) / digits.images.size
    mean = float(counts @ np.arange(256))
    deviation = float(counts @ (np.arange(256) - mean) ** 2) ** 0.5
    return Scale(mean, deviation or 1.0)


def to_sequences(digits: Digits, problem: ImageOptions, scale: Scale) -> tuple[Tensor, Tensor]:
    """Images as a network reads them, and their digits.

    Returns:
        x: [T, B, I], float32.
        target: int64 [B].
    """
    pixels = digits.images.reshape(len(digits), problem.steps, problem.inputs)
    x = torch.from_numpy(pixels.swapaxes(0, 1).astype(np.float32))
    return (x - scale.mean) / scale.deviation, torch.from_numpy(digits.labels.astype(np.int64))


class Shuffled(Dataset[tuple[Tensor, Tensor]]):
    """Batches of images, in a new order every epoch; item u is a pure function of seed and u.

    Images that fill no whole batch are left out, others every epoch.

    Args:
        digits: the training images.
        options: batch, epochs and seed, and how images become sequences.
        scale: of the pixels.
    """

    def __init__(self, digits: Digits, options: MnistOptions, scale: Scale) -> None:
        self.digits, self.options, self.scale = digits, options, scale
        self.windows = len(digits) // options.training.batch
        self._order: tuple[int, np.ndarray] = (-1, np.arange(0))

    def __len__(self) -> int:
        return self.options.training.epochs * self.windows

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Inputs, [T, B, I], and digits, [B]."""
        training = self.options.training
        epoch, place = divmod(index, self.windows)
        if self._order[0] != epoch:
            draw = np.random.default_rng((training.seed, epoch))
            self._order = epoch, draw.permutation(len(self.digits))
        which = self._order[1][place * training.batch : (place + 1) * training.batch]
        chosen = Digits(self.digits.images[which], self.digits.labels[which])
        return to_sequences(chosen, self.options.problem, self.scale)


def train(options: MnistOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a new network on MNIST in a new run folder.

    The last 5,000 training images are the validation set; the test images are not read.

    Args:
        options: everything the run is made from; the folder keeps it with all defaults filled.
        out: the run folder, which must not exist or be empty.
        announce: prints a line.

    Raises:
        OptionError: the options name no folder of images.
        DataError: the images cannot be read, or are too few.
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    if not options.problem.data:
        raise OptionError(
            "data must be the folder of MNIST's four files, got none; write --data FOLDER."
        )
    options = _resolve(options)
    digits = _read_training(options)
    seed_generators(options.training.seed)
    job = _job(out, options, digits)
    begin(job, MNIST, asdict(options), {record.IMAGES: {"sha256": digits.sha256()}})
    return go_on(job, _describe(options), announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        DataError: the images cannot be read any more.
        RunError: the folder is no run on MNIST, is damaged, or the images have changed since.
    """
    options = read_mnist_options(run)
    digits = _read_again(run, options)
    set_threads(options.training)
    return go_on(_job(run, options, digits), _describe(options), announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step; the images are not needed.

    Raises:
        RunError: the folder is no run on MNIST, or is damaged.
    """
    options = read_mnist_options(run)
    set_threads(options.training)
    network = _build(options)
    return network, _step(network)


def evaluate(run: Path) -> Score:
    """How well the best network of a run recognises the test images.

    Raises:
        DataError: the images cannot be read.
        RunError: the folder is no run on MNIST, is damaged, or has no weights yet.
    """
    options = read_mnist_options(run)
    scale = scale_of(_read_again(run, options)[:-HELD_OUT])
    network = _build(options)
    load_weights(run, network)
    test = read_digits(Path(options.problem.data), "test")
    return score(network.eval(), test, options.problem, scale)


def open_images(run: Path, count: int) -> tuple[Network, Tensor, Tensor]:
    """A network as a run would train it, and the first images held out.

    Returns:
        The network before it has the run's weights, images [T, B, I] and digits [B].

    Raises:
        DataError: the images cannot be read.
        RunError: the folder is no run on MNIST, or is damaged.
    """
    options = read_mnist_options(run)
    digits = _read_again(run, options)
    scale = scale_of(digits[:-HELD_OUT])
    x, target = to_sequences(digits[-HELD_OUT:][:count], options.problem, scale)
    return _build(options), x, target


def score(network: nn.Module, digits: Digits, problem: ImageOptions, scale: Scale) -> Score:
    """Shows a network every image once; the network is used as it is, so call `eval()` before."""
    nats = right = 0.0
    with torch.inference_mode():
        for first in range(0, len(digits), _AT_ONCE):
            x, target = to_sequences(digits[first : first + _AT_ONCE], problem, scale)
            logits = network(x)[-1]  # [B, 10]
            nats += cross_entropy(logits, target, reduction="sum").item()
            right += logits.argmax(-1).eq(target).sum().item()
    return Score(len(digits), nats / len(digits), right / len(digits))


def _resolve(options: MnistOptions) -> MnistOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    return replace(
        options,
        problem=replace(options.problem, data=str(Path(options.problem.data).absolute())),
        model=replace(options.model, init=options.model.beginning),
        training=replace(options.training, threads=torch.get_num_threads()),
    )


def _build(options: MnistOptions) -> Network:
    model, problem = options.model, options.problem
    with within_memory():
        return Network(
            problem.inputs, CLASSES, 1, model, problem.steps, model.layers, model.dropout
        )


def _job(run: Path, options: MnistOptions, digits: Digits) -> Job:
    network = _build(options)
    training, held_out = digits[:-HELD_OUT], digits[-HELD_OUT:]
    scale = scale_of(training)
    batches = Shuffled(training, options, scale)

    return Job(
        run=run,
        options=options.training,
        network=network,
        batches=batches,
        windows=batches.windows,
        steps=options.problem.steps * options.training.batch,
        step=_step(network),
        watched=WATCHED,
        validate=partial(_figures, network, held_out, options.problem, scale),
    )


def _step(network: nn.Module) -> Step:
    def step(batch: tuple[Tensor, Tensor], carry: Carry | None) -> tuple[Tensor, None]:
        x, target = batch
        return cross_entropy(network(x)[-1], target), None

    return step


def _figures(
    network: nn.Module, digits: Digits, problem: ImageOptions, scale: Scale
) -> dict[str, float]:
    found = score(network, digits, problem, scale)
    return {WATCHED: found.nats_per_image, "share_right": found.share_right}


def _describe(options: MnistOptions) -> str:
    problem, model = options.problem, options.model
    return f"MNIST by {problem.by}, T = {problem.steps}, {model.cell} begun as {model.beginning}"


def _read_training(options: MnistOptions) -> Digits:
    """The training images, those held out among them."""
    digits, batch = read_digits(Path(options.problem.data), "train"), options.training.batch
    if len(digits) < HELD_OUT + batch:
        raise DataError(
            f"the training images must be at least {HELD_OUT} for validation and a batch of "
            f"{batch}, got {len(digits)}; take the whole set, or lower --batch."
        )
    return digits


def _read_again(run: Path, options: MnistOptions) -> Digits:
    """The training images, refused if they are not those that the run began with."""
    digits = _read_training(options)
    if (found := {"sha256": digits.sha256()}) != (known := record.read_json(run / record.IMAGES)):
        raise RunError(
            f"the training images must be those of the run, {known}, got {found} in "
            f"{options.problem.data}; restore them or train anew."
        )
    return digits

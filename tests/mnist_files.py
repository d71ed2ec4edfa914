"""Files like MNIST's, with a few digits that anyone can tell apart."""

import gzip

import numpy as np

from throughtime.tasks.mnist_options import ImageOptions, MnistModel, MnistOptions, MnistTraining

TRAIN, TEST, HELD_OUT = 212, 17, 12
"""Images of the two parts, and how many are kept for validation."""


def idx(array):
    """An array of bytes as the content of an IDX file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def draw_digits(count, seed):
    """Noise with two rows of ink where the digit says, [N, 28, 28], and the digits, [N]."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, count, np.uint8)
    images = generator.integers(0, 40, (count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] = 250
    return images, labels


def write_digits(folder):
    """Writes the four files, two of them compressed."""
    folder.mkdir(exist_ok=True)
    for name, count in (("train", TRAIN), ("t10k", TEST)):
        images, labels = draw_digits(count, seed=count)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


def tiny_mnist(folder, by="rows", model=None, **training):
    """Options of two epochs of eight updates on such files."""
    settings = {"batch": 25, "epochs": 2, "warmup": 5, "threads": 1, "checkpoint_every": 5}
    return MnistOptions(
        ImageOptions(str(folder), by),
        MnistModel(**({"hidden": 5} | (model or {}))),
        MnistTraining(**(settings | training)),
    )

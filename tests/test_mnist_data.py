"""Files in the IDX format are read as they were written, or refused with a sentence."""

import gzip

import numpy as np
import pytest
from mnist_files import TEST, TRAIN, draw_digits, idx, write_digits

from throughtime.data.mnist import read_digits, read_idx
from throughtime.errors import DataError

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"


@pytest.fixture
def folder(tmp_path):
    return write_digits(tmp_path / "mnist")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(5,), (3, 2), (3, 4, 2), (0, 4)])
def test_an_array_is_read_as_it_was_written(tmp_path, pack, shape):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    (tmp_path / "a").write_bytes(pack(idx(array)))
    assert np.array_equal(read_idx(tmp_path / "a"), array)
    assert read_idx(tmp_path / "a").shape == shape


@pytest.mark.parametrize(("part", "count"), [("train", TRAIN), ("test", TEST)])
def test_images_and_labels_of_a_part_come_in_their_order(folder, part, count):
    digits = read_digits(folder, part)
    images, labels = draw_digits(count, seed=count)
    assert np.array_equal(digits.images, images) and np.array_equal(digits.labels, labels)


def test_a_hash_knows_every_pixel_and_label(folder):
    digits = read_digits(folder, "train")
    whole = digits.sha256()
    images, labels = digits.images.copy(), digits.labels.copy()
    images[3, 4, 5] ^= 1
    assert type(digits)(images, labels).sha256() != whole
    labels[3] ^= 1
    assert type(digits)(digits.images, labels).sha256() != whole
    assert read_digits(folder, "train").sha256() == whole


def cut(content):
    return content[:-3]


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (IMAGES, cut, "whole if compressed"),
        (IMAGES, lambda content: gzip.compress(cut(gzip.decompress(content))), "must have 166,224"),
        (IMAGES, lambda content: content[:20] + b"?" * 9 + content[29:], "whole if compressed"),
        (IMAGES, lambda content: idx(np.zeros((TRAIN, 28, 27), np.uint8)), r"\[212, 28, 27\]"),
        (LABELS, lambda content: content + b"\0", "must have 220 bytes .* it has 221"),
        (LABELS, lambda content: b"", "begins with nothing"),
        (LABELS, lambda content: b"<html>", "begins with 3c 68 74 6d"),
        (LABELS, lambda content: content[:2] + b"\x0d" + content[3:], "begins with 00 00 0d 01"),
        (LABELS, lambda content: content[:6], "must have"),
        (
            LABELS,
            lambda content: idx(np.zeros(TRAIN - 1, np.uint8)),
            r"labels \[N\], got .*\[211\]",
        ),
        (LABELS, lambda content: idx(np.full(TRAIN, 10, np.uint8)), "from 0 to 9, got 10"),
    ],
)
def test_a_file_that_is_spoilt_is_refused(folder, name, spoil, message):
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    with pytest.raises(DataError, match=message):
        read_digits(folder, "train")


def test_what_is_missing_is_named(folder, tmp_path):
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=rf"must hold {LABELS} or {LABELS}.gz"):
        read_digits(folder, "train")
    with pytest.raises(DataError, match="none is none; check the path"):
        read_digits(tmp_path / "none", "train")

"""A saved session goes on as it was; a file that is none is refused, whatever is wrong with it."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from test_stream import LAYERS, I, O, T, each_layer, stack, stepped
from torch import nn

import throughtime as tt
from throughtime.errors import DataError
from throughtime.native.weights_file import FORMAT

WEIGHTS = {"layers.0.weight_ih": np.ones((3, 2)), "layers.0.weight_hh": np.ones((3, 3))}


def header(**changes):
    about = {"version": 1, "cells": ["elman_tanh"], "rows": 1} | changes
    return {FORMAT: json.dumps(about)}


def options(cell, nonlinearity="tanh", keep=(), **more):
    own = {"nonlinearity": nonlinearity, "keep": keep} | more
    return header(version=2, cells=[cell], options=[own])


def raw(about, dtype="F64", shape=(3, 2), size=48):
    """A file by hand: what safetensors itself would not write."""
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": about, "layers.0.weight_ih": entry}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def named(name, array, **changes):
    return save(WEIGHTS | {name: array}, header(**changes))


GOOD = named("layers.0.bias_ih", np.ones(3))
IH, HH, HR = "layers.0.weight_ih", "layers.0.weight_hh", "layers.0.weight_hr"
SMALL = {IH: np.ones((12, 2)), HH: np.ones((12, 3)), "layers.0.peepholes": np.ones(9)}  # an LSTM
FILES = {
    "nothing": (b"", "cannot be read"),
    "zeros": (bytes(100), "cannot be read"),
    "a huge header": (struct.pack("<Q", 2**63) + b"{}", "cannot be read"),
    "no end": (GOOD[:-9], "cannot be read"),
    "no header": (save(WEIGHTS), "its header says None"),
    "a version to come": (save(WEIGHTS, header(version=9)), "its header says"),
    "NaN": (save(WEIGHTS, {FORMAT: "NaN"}), "its header says nan"),
    "a version of NaN": (save(WEIGHTS, {FORMAT: '{"version": NaN}'}), "its header says"),
    "a deep header": (save(WEIGHTS, {FORMAT: "[" * 100_000}), "cannot be read"),
    "a long number": (save(WEIGHTS, {FORMAT: "1" * 100_000}), "cannot be read"),
    "no list of cells": (save(WEIGHTS, header(cells="lstm")), "a list of cells"),
    "lists of cells": (save(WEIGHTS, header(cells=[["lstm"]])), "a list of cells"),
    "an unknown cell": (save(WEIGHTS, header(cells=["mamba"])), "got 'mamba'"),
    "another cell": (save(WEIGHTS, header(cells=["gru"])), r"weight_ih must be \[9, 2\]"),
    "a missing layer": (save(WEIGHTS, header(cells=["elman_tanh"] * 2)), "got NoneType"),
    "no layer": (save({}, header(cells=[])), "layers must be one or more"),
    "no options": (save(WEIGHTS, header(version=2)), "with the options .* says None"),
    "options of another": (save(WEIGHTS, header(version=2, options=[])), "with the options"),
    "options of no kind": (save(WEIGHTS, header(version=2, options=["x"])), "with the options"),
    "one option": (save(WEIGHTS, header(version=2, options=[{"keep": []}])), "with the options"),
    "a new option": (save(WEIGHTS, options("elman", zoom=3)), "with the options .*zoom"),
    "keep of a name": (save(WEIGHTS, options("elman", keep="all")), "with the options .*all"),
    "an unknown g": (save(WEIGHTS, options("elman", "sin")), "nonlinearity of elman .* got 'sin'"),
    "a list for g": (save(WEIGHTS, options("elman", ["tanh"])), "nonlinearity of elman must be"),
    "g of another cell": (save(WEIGHTS, options("elman_tanh", "elu")), "one of tanh, got 'elu'"),
    "a share of two": (save(WEIGHTS, options("elman", keep=[2])), r"shares .* got \(2,\)"),
    "a share of NaN": (save(WEIGHTS, options("elman", keep=[float("nan")])), "shares from 0 to 1"),
    "a share of text": (save(WEIGHTS, options("elman", keep=["1"])), "shares from 0 to 1"),
    "a share of true": (save(WEIGHTS, options("elman", keep=[True])), "shares from 0 to 1"),
    "a share too many": (save(WEIGHTS, options("elman", keep=[0, 0])), "elman must be 1 shares"),
    "a share too few": (save(SMALL, options("lstm", keep=[0])), "lstm must be 2 shares"),
    "peepholes of none": (named("layers.0.peepholes", np.ones(3)), "peepholes must be of an LSTM"),
    "a projection of none": (named(HR, np.ones((3, 4))), "weight_hr must be of an LSTM"),
    "too few peepholes": (
        save(SMALL | {"layers.0.peepholes": np.ones(6)}, options("lstm")),
        r"peepholes must be \[9\] of float64, got \[6\]",
    ),
    "a projection of one": (save(SMALL | {HR: np.array(1.0)}, options("lstm")), "weight_hr must"),
    "a wide projection": (save(SMALL | {HR: np.ones((3, 3))}, options("lstm")), "got 3 of 3"),
    "another projection": (
        save(SMALL | {HR: np.ones((2, 4))}, options("lstm")),
        r"weight_ih must be \[16, 2\]",
    ),
    "a layer too many": (named("layers.1.weight_ih", np.ones((3, 3))), "more than its layers"),
    "a path for a name": (named("../../etc/passwd", np.ones(3)), "more than its layers"),
    "a bias of nothing": (named("readout.bias", np.ones(3)), "more than its layers"),
    "a number for a matrix": (named(HH, np.array(1.0)), "weight_hh must be a matrix"),
    "a number for a readout": (named("readout.weight", np.array(1.0)), "readout weight must be"),
    "an empty readout": (named("readout.weight", np.ones((0, 3))), "readout weight must be"),
    "no units": (named(HH, np.ones((0, 0))), "weight_hh must be a matrix"),
    "two types": (named(HH, np.ones((3, 3), np.float32)), "weight_hh must be .* of float64"),
    "whole numbers": (named(IH, np.ones((3, 2), int)), "is of I64"),
    "narrow numbers": (raw(header(), "BF16", size=12), "is of BF16"),
    "a huge shape": (raw(header(), shape=(2**62, 4)), "cannot be read"),
    **{
        f"{rows!r} rows": (save(WEIGHTS, header(rows=rows)), "rows must be a whole number")
        for rows in ("x", None, 1.5, True, 0, 2**60, 10**30)
    },
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_no_session_is_refused(file, tmp_path):
    content, reason = FILES[file]
    (tmp_path / "stream").write_bytes(content)
    with pytest.raises(DataError, match=rf"stream must be a .*{reason}") as caught:
        tt.stream.load(tmp_path / "stream")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("name", [".", "missing"])
def test_a_place_without_a_file_is_refused(name, tmp_path):
    with pytest.raises(DataError, match="must be a saved session, it cannot be read"):
        tt.stream.load(tmp_path / name)


@pytest.mark.parametrize(
    "content", [GOOD, named("layers.0.bias_ih", np.ones(3), **json.loads(options("elman")[FORMAT]))]
)
def test_the_files_that_the_others_spoil_are_sessions(content, tmp_path):
    (tmp_path / "stream").write_bytes(content)
    y = tt.stream.load(tmp_path / "stream").step(np.zeros(2))
    np.testing.assert_allclose(y, np.tanh(np.ones(3)))


@pytest.mark.parametrize("end", range(0, len(GOOD), 7))
def test_no_beginning_of_a_session_passes_for_one(end, tmp_path):
    (tmp_path / "stream").write_bytes(GOOD[:end])
    with pytest.raises(DataError, match="cannot be read"):
        tt.stream.load(tmp_path / "stream")


@each_layer
@pytest.mark.parametrize("bias", [False, True])
def test_a_saved_session_gives_the_same_bits(layer, bias, tmp_path):
    session = tt.stream(stack(layer, num_layers=2, bias=bias), rows=2)
    session.save(tmp_path / "stream.safetensors")
    loaded = tt.stream.load(tmp_path / "stream.safetensors")
    x = torch.randn(T, 2, I, dtype=torch.float64)
    assert np.array_equal(stepped(session, x), stepped(loaded, x))
    assert tt.stream.load(tmp_path / "stream.safetensors", rows=5).rows == 5


def test_a_saved_session_runs_where_torch_cannot_be_imported(tmp_path):
    layers = [make(I, I, dtype=torch.float64) for make in LAYERS.values()]
    session, x = tt.stream([*layers, nn.Linear(I, O, dtype=torch.float64)]), np.ones(I)
    session.save(tmp_path / "stream")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, throughtime.stream\n"
        f"session = throughtime.stream.load({str(tmp_path / 'stream')!r})\n"
        "print(session.step(np.ones(3)).tolist(), session.step(np.ones(3)).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == f"{session.step(x).tolist()} {session.step(x).tolist()}\n", run.stderr


def test_saving_overwrites_nothing(tmp_path):
    (tmp_path / "stream").write_text("mine")
    with pytest.raises(DataError, match="must not exist yet"):
        tt.stream(stack()).save(tmp_path / "stream")
    assert (tmp_path / "stream").read_text() == "mine"

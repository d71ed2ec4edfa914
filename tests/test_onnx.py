"""The exported graph, run step by step in ONNX Runtime, is the layer."""

import sys

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, Case, H, I, T, name_of
from torch import nn

import throughtime as tt
from throughtime.errors import DataError, OptionError, PackageError, ShapeError
from throughtime.onnx import ACTIVATIONS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

O = 6
SAYABLE = [
    *CASES,
    *(Case(f"rnn-{g}", tt.RNN, None, {"nonlinearity": g}) for g in ACTIVATIONS),
    *(
        case
        for case in OPTIONS
        if case.name.endswith(("peepholes", "coupled", "before", "zoneout", "dropout"))
    ),
]


def new(case, *sizes, **options):
    return case.layer(*sizes, **case.options, **options)


class Host:
    """A program that keeps the loop: zeros first, then each state that came out."""

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.widths = {node.name: node.shape[1] for node in self.session.get_inputs()[1:]}
        self.outputs = [node.name for node in self.session.get_outputs()]

    def run(self, x):
        """Outputs of every step, and the last states by name."""
        states = {n: np.zeros((x.shape[1], w), np.float32) for n, w in self.widths.items()}
        steps = []
        for x_t in x.numpy():
            y, *after = self.session.run(self.outputs, {"x": x_t, **states})
            states = dict(zip(states, after, strict=True))
            steps.append(torch.from_numpy(y))
        return torch.stack(steps), [torch.from_numpy(state) for state in states.values()]


def exported(model, folder):
    tt.export_onnx(model, folder / "step.onnx")
    return Host(folder / "step.onnx")


def assert_close(found, expected):
    # float32, and either side rounds in its own order
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", SAYABLE, ids=name_of)
def test_steps_and_states_are_those_of_the_layer_for_any_number_of_rows(case, bias, tmp_path):
    layer = new(case, I, H, num_layers=2, bias=bias).requires_grad_(False).eval()
    host = exported(layer, tmp_path)
    for rows in (1, B, 17):
        x = torch.randn(T, rows, I)
        y, state = layer(x)
        steps, states = host.run(x)
        fields = [state] if isinstance(state, torch.Tensor) else state
        assert_close(steps, y)
        for l in range(2):
            for found, field in zip(states[l * len(fields) :], fields, strict=False):
                assert_close(found, field[l])


@pytest.mark.parametrize("bias", [True, False])
def test_a_stack_of_different_layers_with_a_readout_gives_its_outputs(bias, tmp_path):
    parts = [tt.LSTM(I, H), tt.GRU(H, 5, num_layers=2), tt.RNN(5, 3), nn.Linear(3, O, bias=bias)]
    x = torch.randn(T, B, I)
    y = x
    for layer in parts[:-1]:
        y = layer(y)[0]
    assert_close(exported(nn.Sequential(*parts), tmp_path).run(x)[0], parts[-1](y).detach())


def test_inputs_and_outputs_have_the_names_and_axes_of_the_docstring(tmp_path):
    session = exported([tt.LSTM(I, H), tt.GRU(H, 5)], tmp_path).session
    shapes = {node.name: node.shape for node in session.get_inputs() + session.get_outputs()}
    assert list(shapes) == [
        *("x", "h_0_l0", "c_0_l0", "h_0_l1"),
        *("y", "h_n_l0", "c_n_l0", "h_n_l1"),
    ]
    assert shapes["x"] == ["B", I] and shapes["c_n_l0"] == ["B", H] and shapes["y"] == ["B", 5]


def test_the_file_is_valid_onnx(tmp_path):
    layers = [tt.LSTM(I, H, peepholes=True, zoneout=0.1), tt.RNN(H, H, nonlinearity="elu")]
    tt.export_onnx([*layers, nn.Linear(H, O)], tmp_path / "step.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "step.onnx"), full_check=True)


def test_dropout_does_not_act(tmp_path):
    layer = tt.GRU(I, H, num_layers=2, dropout=0.9)
    x = torch.randn(T, B, I)
    assert_close(exported(layer, tmp_path).run(x)[0], layer.eval()(x)[0].detach())


def test_an_earlier_file_stays(tmp_path):
    (tmp_path / "step.onnx").write_bytes(b"precious")
    with pytest.raises(DataError, match=r"step\.onnx must not exist yet"):
        tt.export_onnx(tt.GRU(I, H), tmp_path / "step.onnx")
    assert (tmp_path / "step.onnx").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (nn.LSTM(I, H), OptionError, "recurrent layers of this library.* got LSTM"),
        (tt.LSTM(I, H, bidirectional=True), OptionError, "forward only, got a bidirectional"),
        (tt.LSTM(I, H, proj_size=2), OptionError, "without projection for ONNX, got one to 2"),
        (tt.RNN(I, H, nonlinearity="gelu"), OptionError, "for ONNX, got 'gelu'; choose one"),
        (
            tt.RNN(I, H, nonlinearity=torch.sin),
            OptionError,
            "without .* functions for non",
        ),
        (tt.GRU(I, H, learn_initial=True), OptionError, "got GRU.*learn_initial=True"),
        (tt.GRU(I, H).double(), ShapeError, r"float32 for ONNX, got float64; export model.float"),
        (tt.GRU(I, H).half(), ShapeError, "float16"),
        ([tt.GRU(I, H), tt.GRU(I, H)], ShapeError, r"weight_ih must be \[12, 4\]"),
    ],
)
def test_a_model_without_a_graph_is_refused_by_name(model, error, message, tmp_path):
    with pytest.raises(error, match=message):
        tt.export_onnx(model, tmp_path / "step.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(PackageError, match="needs the package onnx"):
        tt.export_onnx(tt.GRU(I, H), tmp_path / "step.onnx")

"""A trained stack as an ONNX graph of one step: the state goes in and out, any number of rows.

ONNX's own recurrent operators compute the step, so that every runtime has fast code for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from throughtime.errors import DataError, OptionError, PackageError, ShapeError
from throughtime.native.compiled import KERNELS
from throughtime.native.weights import Array, LayerWeights, Readout, check_weights

if TYPE_CHECKING:
    from torch import nn

OPSET, IR_VERSION = 17, 8  # what runtimes of 2022 and later read


class Operator(NamedTuple):
    """How ONNX knows a cell."""

    name: str
    order: tuple[int, ...]  # where its blocks of rows stand among torch's
    options: dict[str, Any]
    peephole_order: tuple[int, ...] = ()
    is_first_negated: bool = False  # its input gate is 1 - sigmoid(a) = sigmoid(-a)


OPERATORS = {
    "elman_tanh": Operator("RNN", (0,), {}),
    "elman_relu": Operator("RNN", (0,), {"activations": ["Relu"]}),
    "elman": Operator("RNN", (0,), {}),
    "lstm": Operator("LSTM", (0, 3, 1, 2), {}, (0, 2, 1)),  # input, output, forget, cell
    "coupled_lstm": Operator("LSTM", (0, 2, 0, 1), {}, (0, 1, 0), is_first_negated=True),
    "gru": Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),  # update, reset, hidden
    "gru_reset_before": Operator("GRU", (1, 0, 2), {"linear_before_reset": 0}),
}

ACTIVATIONS: dict[str, dict[str, Any]] = {
    "tanh": {},
    "relu": {"activations": ["Relu"]},
    "identity": {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]},
    "sigmoid": {"activations": ["Sigmoid"]},
    "leaky_relu": {"activations": ["LeakyRelu"], "activation_alpha": [0.01]},
    "elu": {"activations": ["Elu"], "activation_alpha": [1.0]},
    "softplus": {"activations": ["Softplus"]},
    "softsign": {"activations": ["Softsign"]},
}
"""g of the cell elman, as ONNX's RNN knows it."""


def export_onnx(model: nn.Module | Sequence[nn.Module], path: str | os.PathLike[str]) -> None:
    """Writes a trained stack as an ONNX graph of one step.

        (y, state_t) = step(x_t, state_{t-1})

        x       [B, I]    in    y       [B, O]    out
        h_0_l0  [B, H]    in    h_n_l0  [B, H]    out     one pair per layer: l0, l1, ...
        c_0_l0  [B, H]    in    c_n_l0  [B, H]    out     for LSTM layers

    The host keeps the loop: it feeds zeros first, then every h_n and c_n as the next h_0 and c_0.
    B is free in every call. Dropout does not act.

    Args:
        model: what `tt.stream` takes: a layer of this library, a sequence of them (a list,
            `nn.Sequential`), or one that ends with an `nn.Linear`, the readout. One direction,
            float32, without projection, LayerNorm, residual, a learned initial state and cells of
            your own; g of an Elman cell one of `ACTIVATIONS`. Zoneout acts as in evaluation.
        path: a new file.

    Raises:
        PackageError: the package onnx is not installed.
        OptionError: the model holds something else, which is named.
        ShapeError: the weights are not float32, which is all that ONNX Runtime computes these
            operators in, or do not fit each other.
        DataError: there is a file of that name already.
    """
    from throughtime.layers.export import plain_weights

    content = graph_of_step(*plain_weights(model))
    try:
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise DataError(f"{path} must not exist yet, it does; choose another name.") from error


def graph_of_step(layers: Sequence[LayerWeights], readout: Readout | None) -> bytes:
    """The bytes of the ONNX file that `export_onnx` writes."""
    check_weights(layers, readout)
    for layer in layers:
        _check_sayable(layer)
    if layers[0].weight_ih.dtype != np.float32:
        raise ShapeError(
            f"the weights must be float32 for ONNX, got {layers[0].weight_ih.dtype}; export "
            "model.float()."
        )
    helper = _helper()
    graph = _Graph()
    x = graph.add("Unsqueeze", ["x", graph.constant("axis", np.zeros(1, np.int64))], "x_1BI")
    graph.inputs["x"] = layers[0].weight_ih.shape[1]
    for index, layer in enumerate(layers):
        x = _add_layer(graph, layer, x, f"l{index}")  # [1, B, H], as T = 1
    _add_output(graph, x, readout, layers[-1].output_size)
    content = helper.make_graph(
        graph.nodes,
        "step",
        [_described(name, width) for name, width in graph.inputs.items()],
        [_described(name, width) for name, width in graph.outputs.items()],
        [to_constant(name, value) for name, value in graph.constants.items()],
    )
    return to_bytes(content)


class _Graph:
    """An ONNX graph while it grows."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.inputs: dict[str, int] = {}  # widths by name; every one is [B, width]
        self.outputs: dict[str, int] = {}
        self.constants: dict[str, Array] = {}

    def add(self, operator: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        """Adds one node and gives its output's name."""
        self.nodes.append(_helper().make_node(operator, inputs, [output], **options))
        return output

    def constant(self, name: str, value: Array) -> str:
        """Adds a constant and gives its name."""
        self.constants[name] = value
        return name


def _add_layer(graph: _Graph, layer: LayerWeights, x: str, suffix: str) -> str:
    """One layer over its states; the name of its output, [T=1, B, H]."""
    before, after = [], []
    for field, size in layer.state_sizes.items():
        graph.inputs[f"{field}_0_{suffix}"] = graph.outputs[f"{field}_n_{suffix}"] = size
        before.append(graph.add("Unsqueeze", [f"{field}_0_{suffix}", "axis"], f"{field}_{suffix}"))
        after.append(f"{field}_new_{suffix}")
    node, constants = recurrent_node(layer, x, before, ["", *after], suffix)
    graph.nodes.append(node)
    graph.constants |= constants
    for index, share in enumerate(layer.keep):
        after[index] = _add_zoneout(graph, share, before[index], after[index])
    for field, name in zip(layer.state_sizes, after, strict=True):
        graph.add("Squeeze", [name, "axis"], f"{field}_n_{suffix}")
    return after[0]  # the axis of ONNX's directions is that of the next layer's steps


def _add_zoneout(graph: _Graph, share: float, before: str, new: str) -> str:
    """What zoneout makes of a state, k before + (1 - k) new; the name of it."""
    parts = []
    for name, factor in ((before, share), (new, 1 - share)):
        k = graph.constant(f"{name}_share", np.float32(factor).reshape(1))
        parts.append(graph.add("Mul", [name, k], f"{name}_kept"))
    return graph.add("Add", parts, f"{new}_mixed")


def _add_output(graph: _Graph, x: str, readout: Readout | None, H: int) -> None:
    """The readout, or without one the last layer's h, as y."""
    graph.outputs = {"y": H if readout is None else readout.weight.shape[0], **graph.outputs}
    if readout is None:
        graph.add("Squeeze", [x, "axis"], "y")
        return
    h = graph.add("Squeeze", [x, "axis"], "top")
    inputs = [h, graph.constant("readout.weight", readout.weight)]
    if readout.bias is not None:
        inputs.append(graph.constant("readout.bias", readout.bias))
    graph.add("Gemm", inputs, "y", transB=1)


def recurrent_node(
    layer: LayerWeights, x: str, before: Sequence[str], outputs: Sequence[str], suffix: str = ""
) -> tuple[Any, dict[str, Array]]:
    """ONNX's recurrent operator over one layer's weights.

    Args:
        layer: the weights.
        x: name of the inputs, [T, B, I].
        before: names of h and, for an LSTM, c before the first step, [1, B, H]; none for zeros.
        outputs: names of the outputs of all steps, [T, 1, B, H], and of the states after the
            last one, [1, B, H]; an empty name leaves one out.
        suffix: for the names of the constants.

    Returns:
        The node, and the constants it reads by name.
    """
    operator = OPERATORS[layer.cell]
    weights = {f"W_{suffix}": layer.weight_ih, f"R_{suffix}": layer.weight_hh}
    constants = {name: _reordered(layer, value)[None] for name, value in weights.items()}
    biases = [b for b in (layer.bias_ih, layer.bias_hh) if b is not None]
    if biases:
        both = np.concatenate([_reordered(layer, bias) for bias in biases])
        constants[f"B_{suffix}"] = both[None]
    inputs = [x, *constants, *[""] * (not biases), "", *before]
    if layer.peepholes is not None:
        constants[f"P_{suffix}"] = _reordered(layer, layer.peepholes, is_peephole=True)[None]
        inputs = [*inputs, *[""] * (7 - len(inputs)), f"P_{suffix}"]
    options = operator.options | (ACTIVATIONS[layer.nonlinearity] if layer.cell == "elman" else {})
    node = _helper().make_node(
        operator.name, inputs, outputs, hidden_size=layer.hidden_size, **options
    )
    return node, constants


def _check_sayable(layer: LayerWeights) -> None:
    """Refuses what ONNX's recurrent operators do not know."""
    if layer.weight_hr is not None:
        raise OptionError(
            f"the model must be without projection for ONNX, got one to {layer.output_size} "
            "values; leave out proj_size."
        )
    if layer.nonlinearity not in ACTIVATIONS:
        raise OptionError(
            f"nonlinearity must be one of {', '.join(ACTIVATIONS)} for ONNX, got "
            f"{layer.nonlinearity!r}; choose one."
        )


def to_constant(name: str, value: Array) -> Any:
    """An array as a constant of a graph."""
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def to_bytes(graph: Any) -> bytes:
    """A graph as the content of a file."""
    helper = _helper()
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="throughtime"
    )
    return bytes(model.SerializeToString())


def _described(name: str, width: int) -> Any:
    from onnx import TensorProto

    return _helper().make_tensor_value_info(name, TensorProto.FLOAT, ["B", width])


def _reordered(layer: LayerWeights, weight: Array, is_peephole: bool = False) -> Array:
    """Blocks of rows, or of peepholes, in the order of ONNX."""
    operator, kernel = OPERATORS[layer.cell], KERNELS[layer.cell]
    blocks = np.split(weight, kernel.num_peepholes if is_peephole else kernel.num_gates)
    order = operator.peephole_order if is_peephole else operator.order
    first, *others = (blocks[index] for index in order)
    return np.concatenate([-first if operator.is_first_negated else first, *others])


def _helper() -> Any:
    try:
        from onnx import helper
    except ImportError as error:
        raise PackageError(
            "export_onnx needs the package onnx, which is not installed; pip install onnx."
        ) from error
    return helper

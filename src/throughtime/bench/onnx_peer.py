"""The same layers in ONNX Runtime: its own recurrent operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from throughtime.bench.shapes import CELLS, Shape

Array = np.ndarray[Any, Any]
_ORDER = {"rnn": [0], "lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}
"""Where ONNX's gates stand among torch's: input, output, forget, cell; update, reset, hidden."""


def run_onnx(
    cell: str, shape: Shape, weights: Sequence[Array], x: Tensor, threads: int
) -> Callable[[], list[Any]]:
    """A call that gives y.

    Args:
        cell: rnn, lstm or gru.
        shape: of the layer.
        weights: W_ih, W_hh, b_ih, b_hh in torch's layout.
        x: inputs, [T, B, I].
        threads: threads within an operator.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        _model(cell, shape, weights), options, providers=["CPUExecutionProvider"]
    )
    fed = {"x": x.numpy()}
    return lambda: [session.run(None, fed)[0][:, 0]]


def one_step(cell: str, H: int, weights: Sequence[Array]) -> Callable[[Array], Array]:
    """One streaming step per call, on one thread; the state goes out and in."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = _model(cell, Shape(1, 1, weights[0].shape[1], H), weights, streams=True)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()][1:]
    state = [np.zeros((1, 1, H), np.float32) for _ in names]

    def step(x: Array) -> Array:
        y, *state[:] = session.run(
            None, {"x": x.reshape(1, 1, -1), **dict(zip(names, state, strict=True))}
        )
        return np.asarray(y).reshape(-1)

    return step


def _model(cell: str, shape: Shape, weights: Sequence[Array], streams: bool = False) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    T, B, I, H = shape  # noqa: E741
    ordered = [_reordered(cell, weight) for weight in weights]
    constants = {
        "W": ordered[0][None],
        "R": ordered[1][None],
        "B": np.concatenate(ordered[2:])[None],
    }
    states = (["h", "c"] if cell == "lstm" else ["h"]) if streams else []
    more = {"linear_before_reset": 1} if cell == "gru" else {}
    node = helper.make_node(
        cell.upper(),
        ["x", "W", "R", "B", "", *states],
        ["y", *(f"{name}_n" for name in states)],
        hidden_size=H,
        **more,
    )
    real = TensorProto.FLOAT

    def info(name: str, shape: Sequence[int]) -> Any:
        return helper.make_tensor_value_info(name, real, shape)

    graph = helper.make_graph(
        [node],
        cell,
        [info("x", [T, B, I]), *(info(name, [1, B, H]) for name in states)],
        [info("y", [T, 1, B, H]), *(info(f"{name}_n", [1, B, H]) for name in states)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _reordered(cell: str, weight: Array) -> Array:
    blocks = np.split(weight, CELLS[cell])
    return np.concatenate([blocks[index] for index in _ORDER[cell]])

"""The same layers in ONNX Runtime: its own recurrent operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from throughtime.bench.shapes import Shape
from throughtime.native.weights import LayerWeights
from throughtime.onnx import recurrent_node, to_bytes, to_constant

Array = np.ndarray[Any, Any]


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
    from onnx import TensorProto, helper

    T, B, I, H = shape  # noqa: E741
    states = (["h", "c"] if cell == "lstm" else ["h"]) if streams else []
    w_ih, w_hh, b_ih, b_hh = weights
    layer = LayerWeights("elman_tanh" if cell == "rnn" else cell, w_ih, w_hh, b_ih, b_hh)
    finals = [f"{name}_n" for name in states]
    node, constants = recurrent_node(layer, "x", states, ["y", *finals])

    def info(name: str, shape: Sequence[int]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        cell,
        [info("x", [T, B, I]), *(info(name, [1, B, H]) for name in states)],
        [info("y", [T, 1, B, H]), *(info(name, [1, B, H]) for name in finals)],
        [to_constant(name, value) for name, value in constants.items()],
    )
    return to_bytes(graph)

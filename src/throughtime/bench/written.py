"""The cells as one writes them by hand: a step each, in the operations of torch or of JAX.

They share nothing with `throughtime.cells`, so that a comparison is also a check.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Weights = dict[str, Any]  # by the names of our parameters, W_ih as "weight_ih"
State = tuple[Any, ...]  # (h,) or (h, c), fields [B, ·]


@dataclass(frozen=True)
class Operations:
    """What a step needs of a library of arrays."""

    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    chunk: Callable[[Any, int], Sequence[Any]]  # equal parts of the last axis
    linear: Callable[[Any, Any, Any], Any]  # x, W and b or None: W x + b
    layer_norm: Callable[[Any, Any, Any], Any]  # v, gain and bias


Step = Callable[..., State]  # operations, weights, the state before, z_t, what is drawn for t

TORCH = Operations(
    torch.sigmoid,
    torch.tanh,
    lambda a, parts: a.chunk(parts, dim=-1),
    functional.linear,
    lambda v, gain, bias: functional.layer_norm(v, gain.shape, gain, bias),
)


def project(ops: Operations, w: Weights, x: Any) -> Any:
    """The input's part of the pre-activations, all steps at once: [T, B, I] to [T, B, G*H]."""
    if "norm_ih" in w:
        return ops.layer_norm(ops.linear(x, w["weight_ih"], None), w["norm_ih"], w["bias_ih"])
    return ops.linear(x, w["weight_ih"], w["bias_ih"])


def _recur(ops: Operations, w: Weights, h: Any) -> Any:
    return ops.linear(h, w["weight_hh"], w["bias_hh"])


def _write(ops: Operations, a: Any, c: Any) -> State:
    """H and c of an LSTM from its pre-activations, [B, 4H]."""
    i, f, g, o = ops.chunk(a, 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


def rnn(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """The Elman cell (Elman 1990)."""
    return (ops.tanh(z + _recur(ops, w, state[0])),)


def lstm(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """The LSTM (Gers, Schmidhuber and Cummins 2000)."""
    h, c = state
    return _write(ops, z + _recur(ops, w, h), c)


def layer_norm_lstm(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """Both products normalised (Ba, Kiros and Hinton 2016)."""
    h, c = state
    a = ops.layer_norm(ops.linear(h, w["weight_hh"], None), w["norm_hh"], w["bias_hh"])
    return _write(ops, z + a, c)


def dropout_lstm(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """One mask of h for the whole sequence (Gal and Ghahramani 2016)."""
    h, c = state
    return _write(ops, z + _recur(ops, w, h * w["mask"]), c)


def zoneout_lstm(ops: Operations, w: Weights, state: State, z: Any, *keep: Any) -> State:
    """Units that stay as they were where k is 1 (Krueger et al. 2017)."""
    new = lstm(ops, w, state, z)
    return tuple(k * old + (1 - k) * s for k, old, s in zip(keep, state, new, strict=True))


def peephole_lstm(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """Gates that see the cell state (Gers and Schmidhuber 2000)."""
    h, c = state
    i, f, g, o = ops.chunk(z + _recur(ops, w, h), 4)
    p_i, p_f, p_o = ops.chunk(w["peepholes"], 3)
    c, before = ops.sigmoid(f + p_f * c) * c, c
    c = c + ops.sigmoid(i + p_i * before) * ops.tanh(g)
    return ops.sigmoid(o + p_o * c) * ops.tanh(c), c


def coupled_lstm(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """An input gate of 1 - f (Greff et al. 2017)."""
    h, c = state
    f, g, o = ops.chunk(z + _recur(ops, w, h), 3)
    f = ops.sigmoid(f)
    c = f * c + (1 - f) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


def projected_lstm(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """A smaller h (Sak, Senior and Beaufays 2014)."""
    h, c = lstm(ops, w, state, z)
    return ops.linear(h, w["weight_hr"], None), c


def gru(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """The GRU of `torch.nn` (Cho et al. 2014, version 1)."""
    (h,) = state
    (z_r, z_u, z_n), (a_r, a_u, a_n) = ops.chunk(z, 3), ops.chunk(_recur(ops, w, h), 3)
    n = ops.tanh(z_n + ops.sigmoid(z_r + a_r) * a_n)
    u = ops.sigmoid(z_u + a_u)
    return ((1 - u) * n + u * h,)


def gru_reset_before(ops: Operations, w: Weights, state: State, z: Any) -> State:
    """The GRU whose r acts before the product (Cho et al. 2014, version 3)."""
    (h,) = state
    H = h.shape[-1]
    W, b = w["weight_hh"], w["bias_hh"]
    gates = ops.sigmoid(z[..., : 2 * H] + ops.linear(h, W[: 2 * H], b[: 2 * H]))
    r, u = ops.chunk(gates, 2)
    n = ops.tanh(z[..., 2 * H :] + ops.linear(r * h, W[2 * H :], b[2 * H :]))
    return ((1 - u) * n + u * h,)


@dataclass(frozen=True)
class Written:
    """A cell written by hand, and the layer of ours that is the same.

    Args:
        cell: rnn, lstm or gru.
        step: of one step.
        options: of our layer.
    """

    cell: str
    step: Step
    options: dict[str, Any] = field(default_factory=dict)

    def weights(self, layer: nn.Module) -> Weights:
        """The parameters of our layer."""
        return {name.removesuffix("_l0"): weight for name, weight in layer.named_parameters()}

    def start(self, w: Weights, x: Any, zeros: Callable[[Sequence[int]], Any]) -> State:
        """Zeros for every field of the state."""
        B, outputs = x.shape[1], w["weight_hh"].shape[1]
        if self.cell != "lstm":
            return (zeros((B, outputs)),)
        units = w["weight_hr"].shape[1] if "weight_hr" in w else outputs
        return zeros((B, outputs)), zeros((B, units))

    def draw(self, x: Tensor, H: int, training: bool) -> tuple[Weights, tuple[Tensor, ...]]:
        """What our layer draws, in its order: for the whole sequence, by name, and for each step.

        In evaluation a step has the share of zoneout in place of what is drawn.
        """
        T, B = x.shape[:2]
        share = self.options.get("zoneout")
        if share is not None:
            if not training:
                return {}, (torch.full((T, 1, 1), share),) * 2
            chances = torch.full((T, B, H), share)
            return {}, (torch.bernoulli(chances), torch.bernoulli(chances))
        share = self.options.get("recurrent_dropout")
        if share is not None:
            return {"mask": functional.dropout(torch.ones(B, H), share, training)}, ()
        return {}, ()


def loop(
    written: Written, w: Weights, x: Tensor, constants: Weights, drawn: tuple[Tensor, ...]
) -> Tensor:
    """The Python loop over a step, in torch; y, [T, B, H]."""
    state, outputs = written.start(w, x, x.new_zeros), []
    for now in zip(project(TORCH, w, x), *drawn, strict=True):
        state = written.step(TORCH, w | constants, state, *now)
        outputs.append(state[0])
    return torch.stack(outputs)


PLAIN = {"rnn": Written("rnn", rnn), "lstm": Written("lstm", lstm), "gru": Written("gru", gru)}
"""The cells of `torch.nn`."""


def with_options(H: int) -> dict[str, Written]:
    """The cells that have options, by what a reader calls them; a projection halves H."""
    return {
        "LSTM": PLAIN["lstm"],
        "LayerNorm-LSTM": Written("lstm", layer_norm_lstm, {"layer_norm": True}),
        "recurrent-dropout LSTM": Written("lstm", dropout_lstm, {"recurrent_dropout": 0.25}),
        "zoneout LSTM": Written("lstm", zoneout_lstm, {"zoneout": 0.1}),
        "peephole LSTM": Written("lstm", peephole_lstm, {"peepholes": True}),
        "coupled LSTM": Written("lstm", coupled_lstm, {"coupled": True}),
        "projected LSTM": Written("lstm", projected_lstm, {"proj_size": H // 2}),
        "GRU, reset after": PLAIN["gru"],
        "GRU, reset before": Written("gru", gru_reset_before, {"reset_after": False}),
    }

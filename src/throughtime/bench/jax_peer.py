"""The same layers in JAX: `lax.scan` over one step, under `jit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor


def run_jax(
    cell: str, mode: str, weights: Sequence[np.ndarray[Any, Any]], x: Tensor, dy: Tensor
) -> Callable[[], list[Any]]:
    """A compiled call that gives y, and in training the gradients of the weights.

    Args:
        cell: rnn, lstm or gru.
        mode: inference or training.
        weights: W_ih, W_hh, b_ih, b_hh in torch's layout.
        x: inputs, [T, B, I].
        dy: dL/dy, [T, B, H].
    """
    import jax
    import jax.numpy as jnp

    step = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}[cell]
    inputs, gradient = jnp.asarray(x.numpy()), jnp.asarray(dy.numpy())
    given = [jnp.asarray(weight) for weight in weights]

    def forward(weights: Any, x: Any) -> Any:
        W_ih, W_hh, b_ih, b_hh = weights
        zeros = jnp.zeros((x.shape[1], W_hh.shape[1]))
        z = x @ W_ih.T + b_ih  # all steps at once
        return jax.lax.scan(lambda state, z_t: step(state, z_t, W_hh, b_hh), (zeros, zeros), z)[1]

    def loss(weights: Any, x: Any) -> Any:
        y = forward(weights, x)
        return (y * gradient).sum(), y

    inference = jax.jit(forward)
    training = jax.jit(jax.grad(loss, has_aux=True))

    def run() -> list[Any]:
        if mode == "inference":
            return [np.asarray(inference(given, inputs).block_until_ready())]
        gradients, y = jax.block_until_ready(training(given, inputs))
        return [np.asarray(array) for array in (y, *gradients)]

    return run


def _rnn(state: Any, z: Any, W: Any, b: Any) -> Any:
    import jax.numpy as jnp

    h = jnp.tanh(z + state[0] @ W.T + b)
    return (h, state[1]), h


def _lstm(state: Any, z: Any, W: Any, b: Any) -> Any:
    import jax
    import jax.numpy as jnp

    h, c = state
    i, f, g, o = jnp.split(z + h @ W.T + b, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(state: Any, z: Any, W: Any, b: Any) -> Any:
    import jax
    import jax.numpy as jnp

    h = state[0]
    (z_r, z_u, z_n), (a_r, a_u, a_n) = jnp.split(z, 3, -1), jnp.split(h @ W.T + b, 3, -1)
    r, u = jax.nn.sigmoid(z_r + a_r), jax.nn.sigmoid(z_u + a_u)
    n = jnp.tanh(z_n + r * a_n)
    h = (1 - u) * n + u * h
    return (h, state[1]), h

"""The same cells in JAX: `lax.scan` over one step, under `jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from throughtime.bench.written import Operations, Weights, Written, project

Draw = Callable[[], tuple[Weights, tuple[Tensor, ...]]]


def run_jax(
    written: Written,
    weights: dict[str, Tensor],
    x: Tensor,
    dy: Tensor | None,
    draw: Draw = lambda: ({}, ()),
) -> Callable[[], list[Any]]:
    """A compiled call that gives y, and in training the gradients of the weights.

    Args:
        written: the cell.
        weights: by name, in torch's layout.
        x: inputs, [T, B, I].
        dy: dL/dy, [T, B, H]; None for inference.
        draw: what `Written.draw` gives, anew at every call.
    """
    import jax
    import jax.numpy as jnp

    ops, inputs = _operations(), jnp.asarray(x.numpy())
    gradient = None if dy is None else jnp.asarray(dy.numpy())
    given = {name: jnp.asarray(weight.detach().numpy()) for name, weight in weights.items()}

    def forward(w: Any, constants: Any, drawn: Any, x: Any) -> Any:
        def step(state: Any, now: Any) -> Any:
            new = written.step(ops, w | constants, state, *now)
            return new, new[0]

        z = project(ops, w, x)  # all steps at once
        return jax.lax.scan(step, written.start(w, x, jnp.zeros), (z, *drawn))[1]

    def loss(w: Any, *rest: Any) -> Any:
        y = forward(w, *rest)
        return (y * gradient).sum(), y

    inference = jax.jit(forward)
    training = jax.jit(jax.grad(loss, has_aux=True))

    def run() -> list[Any]:
        constants, drawn = draw()
        constants = {name: jnp.asarray(value.numpy()) for name, value in constants.items()}
        drawn = tuple(jnp.asarray(value.numpy()) for value in drawn)
        if gradient is None:
            return [np.asarray(inference(given, constants, drawn, inputs).block_until_ready())]
        gradients, y = jax.block_until_ready(training(given, constants, drawn, inputs))
        return [np.asarray(array) for array in (y, *(gradients[name] for name in given))]

    return run


def _operations() -> Operations:
    import jax
    import jax.numpy as jnp

    def linear(x: Any, W: Any, b: Any) -> Any:
        return x @ W.T if b is None else x @ W.T + b

    def layer_norm(v: Any, gain: Any, bias: Any) -> Any:
        centred = v - v.mean(-1, keepdims=True)
        return gain * centred * jax.lax.rsqrt(v.var(-1, keepdims=True) + 1e-5) + bias

    return Operations(
        jax.nn.sigmoid, jnp.tanh, lambda a, parts: jnp.split(a, parts, -1), linear, layer_norm
    )

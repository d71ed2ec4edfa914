"""Saliency: which input steps of a sequence a number was computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from throughtime.errors import DataError, OptionError, ShapeError
from throughtime.instruments.direct import norm_of

if TYPE_CHECKING:
    import xarray

Score = Callable[[Tensor], Tensor]
"""From inputs to one number per row, [B]."""


def saliency(
    score: Score,
    inputs: Tensor,
    *,
    embedding: nn.Module | None = None,
    baseline: Tensor | float = 0.0,
    points: int = 64,
    lengths: Tensor | Sequence[int] | None = None,
    batch_first: bool = False,
) -> xarray.Dataset:
    """Says which steps of its input a score of every row comes from, in three ways.

        gradient               |df/dx_t|
        gradient x input       x_t . df/dx_t
        integrated gradients   (x_t - x'_t) . int_0^1 df/dx_t (x' + a (x - x')) da

    The last (Sundararajan, Taly and Yan 2017) are complete: over all steps they add up to
    f(x) - f(x'). The integral is a Riemann sum by the midpoint rule at a = (i - 1/2) / n,
    i = 1 ... n, whose error falls as 1/n^2 where f is smooth; how much it misses completeness by
    is part of the result.

    Args:
        score: f; a number of each row may depend on that row alone. A model in eval mode: what is
            drawn anew at every call has no derivative along the way.
        inputs: x, [T, B, I], or what the embedding reads, such as tokens, int64 [T, B].
        embedding: the module in the model whose output, [T, B, I], counts as x, called once by the
            score; None where the inputs are x.
        baseline: x', what counts as no input: a number, or of the shape of x or its last axes.
        points: n, one forward and backward pass each.
        lengths: steps of each row, [B], as the model was told; T when None.
        batch_first: whether inputs are [B, T, ...] and x [B, T, I].

    Returns:
        `gradient`, `gradient_x_input` and `integrated_gradients` with the axes time and batch,
        missing behind the end of a row; `score`, `baseline_score` and `completeness_error`, what
        the integrated gradients give too much, of every row; the rule and n as attributes.

    Raises:
        ShapeError: x has no axes T, B and I, lengths or score are not [B], or the baseline fits x
            in no way.
        OptionError: points is no whole number above 0, or the score does not depend on x or does
            not call the embedding once.
        DataError: the score depends on padding, or a gradient is not finite.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1)
        >>> found = saliency(lambda x: x.square().sum(dim=(0, 2)), x)
        >>> found["gradient"].values.ravel().tolist()
        [2.0, 4.0, 6.0]
        >>> found["integrated_gradients"].values.ravel().round(5).tolist()
        [1.0, 4.0, 9.0]
    """
    import xarray

    if not isinstance(points, int) or points < 1:
        raise OptionError(f"points must be a whole number of at least 1, got {points}; 64 do well.")
    way = _Way(score, inputs, embedding, batch_axis=0 if batch_first else 1)
    x = way.read()
    start = _baseline(baseline, x)
    value, gradient = way.at(x)
    baseline_value, _ = way.at(start)
    integral = torch.zeros_like(x)
    for i in range(points):
        integral += way.at(torch.lerp(start, x, (i + 0.5) / points))[1] / points
    found = {
        "gradient": norm_of(gradient),
        "gradient_x_input": (gradient * x).sum(dim=-1),
        "integrated_gradients": ((x - start) * integral).sum(dim=-1),
    }
    found = {name: (part.T if batch_first else part).cpu() for name, part in found.items()}
    error = found["integrated_gradients"].sum(dim=0) - (value - baseline_value).cpu()
    if lengths is not None:
        is_there = _is_there(lengths, found["gradient"].shape)
        found = {name: _without_padding(part, is_there, name) for name, part in found.items()}
    arrays: dict[str, Any] = {n: (("time", "batch"), part.numpy()) for n, part in found.items()}
    numbers = {"score": value, "baseline_score": baseline_value, "completeness_error": error}
    arrays |= {name: (("batch",), number.cpu().numpy()) for name, number in numbers.items()}
    return xarray.Dataset(arrays, attrs={"rule": "midpoint", "points": points})


class _Way:
    """The score and its gradient wherever x is."""

    def __init__(
        self, score: Score, inputs: Tensor, embedding: nn.Module | None, batch_axis: int
    ) -> None:
        self._score, self._inputs, self._embedding = score, inputs, embedding
        self._batch_axis = batch_axis

    def read(self) -> Tensor:
        """The x of the inputs."""
        seen: list[Tensor] = []
        with torch.no_grad():
            self._call(self._inputs, seen.append)
        x = seen[0].detach()
        if x.dim() != 3 or not x.is_floating_point():
            raise ShapeError(
                "x must be float [T, B, I], or [B, T, I] with batch_first, got "
                f"{str(x.dtype)[6:]} {list(x.shape)}; name the embedding where inputs are tokens."
            )
        return x

    def at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The score of every row, [B], and its gradient, of the shape of x."""
        point = x.detach().requires_grad_()
        with torch.enable_grad():
            found = self._call(point, lambda _: point)
        batch = x.shape[self._batch_axis]
        if found.shape != (batch,):
            raise ShapeError(
                f"score must give [B={batch}], one number per row, got {list(found.shape)}; do not "
                "average over rows."
            )
        if not found.requires_grad:
            raise OptionError(
                "score must depend on x, got constants; compute it from what it is called with, "
                "without detach or no_grad."
            )
        (gradient,) = torch.autograd.grad(found.sum(), point, materialize_grads=True)
        if not gradient.isfinite().all():
            raise DataError(
                "the gradient of the score must be finite, got one that is not; look at the score "
                "and the inputs."
            )
        return found.detach(), gradient

    def _call(self, x: Tensor, put: Callable[[Tensor], Any]) -> Tensor:
        """The score, where `put` sees x and may give another in its place."""
        if self._embedding is None:
            put(x)
            return self._score(x)
        calls = 0

        def replace(_: Any, __: Any, output: Tensor) -> Any:
            nonlocal calls
            calls += 1
            return put(output)

        handle = self._embedding.register_forward_hook(replace)
        try:
            found = self._score(self._inputs)
        finally:
            handle.remove()
        if calls != 1:
            raise OptionError(
                f"score must call the embedding once, it did so {calls} times; name the module "
                "whose output the rest of the model reads."
            )
        return found


def _baseline(baseline: Tensor | float, x: Tensor) -> Tensor:
    """x', of the shape of x."""
    start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device).detach()
    try:
        return start.broadcast_to(x.shape)
    except RuntimeError as error:
        raise ShapeError(
            f"baseline must fit x {list(x.shape)}, got {list(start.shape)}; pass a number, or a "
            "vector for every step."
        ) from error


def _is_there(lengths: Tensor | Sequence[int], shape: Sequence[int]) -> Tensor:
    """Which rows have a step t, bool [T, B]."""
    steps, batch = shape
    found = torch.as_tensor(lengths)
    if found.shape != (batch,) or not 0 <= int(found.min()) <= int(found.max()) <= steps:
        raise ShapeError(
            f"lengths must be [B={batch}], from 0 to T = {steps}, got {found.tolist()}; count the "
            "steps of each row."
        )
    return torch.arange(steps)[:, None] < found


def _without_padding(way: Tensor, is_there: Tensor, name: str) -> Tensor:
    """[T, B], missing where a row has no step.

    Raises:
        DataError: there is something that a score should not have read.
    """
    read = (way != 0) & ~is_there
    if read.any():
        t, row = read.nonzero()[0].tolist()
        raise DataError(
            f"{name} of padding must be 0, got {float(way[t, row]):.3g} at step {t}, row {row}; "
            "tell the model the lengths, too."
        )
    return way.masked_fill(~is_there, torch.nan)

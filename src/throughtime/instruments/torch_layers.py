"""Layers of `torch.nn` seen through: their call computed a second time, in our layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from throughtime.layers.conversion import twin_of
from throughtime.layers.observer import Observer, Watched


class TorchWatch:
    """Shows each call of an `nn.RNN`, `nn.LSTM` or `nn.GRU` to an observer.

    The module's own results and gradients stay as they are. Its call is computed again, by our
    layer over the same parameters, from copies of what it got, with the same dropout; the
    gradients of its results then go back through that, too.

    Args:
        module: one that has a twin (`twin_of`).
        observer: who looks on.
    """

    def __init__(self, module: nn.Module, observer: Observer) -> None:
        self._observer = observer
        self._is_wanted = False
        self._generator: Tensor | None = None
        self._handles = (
            module.register_forward_pre_hook(self._before),
            module.register_forward_hook(self._after, prepend=True, with_kwargs=True),
        )

    def close(self) -> None:
        """Stops watching."""
        for handle in self._handles:
            handle.remove()

    def _before(self, module: Any, _: Any) -> None:
        self._is_wanted = self._observer.wants()
        draws = self._is_wanted and module.training and module.dropout > 0
        self._generator = torch.get_rng_state() if draws else None

    def _after(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        if not self._is_wanted:
            return
        own_args, own_kwargs = _leaves(args), {n: _leaves(value) for n, value in kwargs.items()}
        twin: Any = twin_of(module)
        twin._observers = (_Second(self._observer),)
        with _drawing_from(self._generator):
            own = twin(*own_args, **own_kwargs)
        both = zip(_tensors(out), _tensors(own), strict=True)
        pairs = [(theirs, ours) for theirs, ours in both if theirs.requires_grad]
        if pairs and self._observer.wants_gradients:
            theirs, ours = zip(*pairs, strict=True)
            x = _tensors((own_args, own_kwargs))[0]
            torch.autograd.graph.register_multi_grad_hook(theirs, partial(_go_back, ours, x))


class _Second:
    """An observer of a call that was asked for already."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.wants_gradients = observer.wants_gradients

    def wants(self) -> bool:
        return True

    def see(self, layers: Sequence[Watched], order: Tensor | None) -> None:
        self._observer.see(layers, order)


def _go_back(results: Sequence[Tensor], x: Tensor, grads: Sequence[Tensor | None]) -> None:
    """Takes the gradients of the results through the second computation."""
    known = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
    if known:
        outputs, given = zip(*known, strict=True)
        # the first computation may go back once more, and this one with it
        torch.autograd.grad(outputs, x, given, retain_graph=True, allow_unused=True)


@contextmanager
def _drawing_from(generator: Tensor | None) -> Iterator[None]:
    """Has torch draw from this state of its generator, for a while; as it is with None."""
    with torch.random.fork_rng(devices=[], enabled=generator is not None):
        if generator is not None:
            torch.set_rng_state(generator)
        yield


def _leaves(value: Any) -> Any:
    """The same arguments over tensors that are the beginning of a graph."""
    if isinstance(value, Tensor):
        return value.detach().requires_grad_(torch.is_grad_enabled())
    if isinstance(value, PackedSequence):
        return value._replace(data=_leaves(value.data))
    return tuple(map(_leaves, value)) if isinstance(value, tuple) else value


def _tensors(value: Any) -> list[Tensor]:
    """The tensors among results or arguments, in their order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    parts = value.values() if isinstance(value, dict) else value
    return [tensor for part in parts for tensor in _tensors(part)] if _holds(value) else []


def _holds(value: Any) -> bool:
    return isinstance(value, tuple | list | dict)

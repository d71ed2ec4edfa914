"""Looks on while a step is taken again, and finds the first number that is not finite."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from throughtime.instruments.flight.place import Place, axes_of, first_not_finite
from throughtime.instruments.flight.readings import DIRECTIONS
from throughtime.instruments.keep import Keep
from throughtime.instruments.recording import LayerRecording
from throughtime.instruments.tape import watch


class Event(NamedTuple):
    """A module has given a result, or the gradient of one is known."""

    module: str
    call: int  # of the module in this step, from 0
    what: str
    tensor: Tensor | None  # None for a call of a recurrent layer, which stands on the tape


class Search:
    """Watches one step of a model; `find` names the place afterwards.

        with Search(model) as search:
            loss, _ = step(batch, carry)
            loss.backward()
        search.find(loss)

    Args:
        model: what takes the step.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.tape = watch(model, Keep(last=None))
        self._forward: list[Event] = []
        self._backward: list[Event] = []
        self._calls: dict[str, int] = {}
        self._handles: list[Any] = []
        recurrent = tuple(self.tape.names)
        for name, module in model.named_modules():
            inside = any(name != outer and _lies_in(name, outer) for outer in recurrent)
            if not inside:  # a cell's own modules run once a step, which the tape tells better
                hook = partial(self._see, name, name in recurrent)
                self._handles.append(module.register_forward_hook(hook))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                hook = partial(self._see_parameter, name)
                handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
                self._handles.append(handle)

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.tape.close()
        for handle in self._handles:
            handle.remove()

    def _see(self, name: str, is_recurrent: bool, module: nn.Module, args: Any, out: Any) -> None:
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        if is_recurrent:
            self._forward.append(Event(name, call, "states", None))
        for tensor in tree_leaves(out):
            if not isinstance(tensor, Tensor):
                continue
            self._forward.append(Event(name, call, "output", tensor.detach()))
            if tensor.requires_grad:
                hook = partial(self._see_gradient, name, call, is_recurrent)
                tensor.register_hook(hook)  # type: ignore[no-untyped-call]

    def _see_gradient(
        self, name: str, call: int, is_recurrent: bool, gradient: Tensor | None
    ) -> None:
        if gradient is None:  # of a result that nothing reads
            return
        event = Event(name, call, "gradient of the output", gradient.detach().clone())
        self._backward.append(event)
        if is_recurrent:
            self._backward.append(Event(name, call, "gradients", None))

    def _see_parameter(self, name: str, parameter: Tensor) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.detach()
        self._backward.append(Event(name, 0, "gradient of the weight", gradient.clone()))

    def find(self, loss: Tensor) -> Place | None:
        """The first number that is not finite, in the order of computing; None if all are."""
        windows = self._windows()
        is_batch_first = any(getattr(m, "batch_first", False) for m in self.model.modules())
        for passage, events in (("forward", self._forward), ("backward", self._backward)):
            for event in events:
                found = (
                    self._on_tape(passage, event)
                    if event.tensor is None
                    else _in_tensor(passage, event, event.tensor, windows, is_batch_first)
                )
                if found is not None:
                    return found
            if passage == "forward" and not bool(torch.isfinite(loss)):
                return Place("forward", "the loss", "its value", float(loss.detach()))
        return None

    def largest(self) -> Place | None:
        """The largest h or dL/dh of all, where every number is finite and their norm is not."""
        found = [
            _largest(name, index, direction, layer)
            for name in self.tape.names
            for recording in self.tape.recordings(name)
            for index, layer in enumerate(recording.layers)
            if layer.has_gradients
            for direction in range(layer.num_directions)
        ]
        return max(found, key=lambda place: abs(place.value), default=None)

    def _windows(self) -> list[tuple[int, int]]:
        """T and B of all calls, each once."""
        shapes = [
            layer.shape
            for name in self.tape.names
            for recording in self.tape.recordings(name)
            for layer in recording.layers
        ]
        return list(dict.fromkeys(shapes))

    def _on_tape(self, passage: str, event: Event) -> Place | None:
        """The first place within one call of a recurrent module, layer by layer as they run."""
        layers = list(enumerate(self.tape.recording(event.module, event.call).layers))
        for index, layer in layers if passage == "forward" else reversed(layers):
            if passage == "backward" and not layer.has_gradients:
                continue
            for direction in range(layer.num_directions):
                found = _in_layer(passage, layer, direction)
                if found is not None:
                    what, (time, row, unit), value = found
                    return Place(
                        passage,
                        event.module,
                        what,
                        value,
                        layer=index,
                        direction=DIRECTIONS[direction],
                        time=time,
                        row=row,
                        unit=unit,
                    )
        return None


def _in_layer(
    passage: str, layer: LayerRecording, direction: int
) -> tuple[str, tuple[int, ...], float] | None:
    """What, [time, row, unit] and value of the first step that computed one."""
    sequences = list(_forward(layer) if passage == "forward" else _backward(layer))
    runs_up = (direction == 0) == (passage == "forward")
    best: tuple[int, str, tuple[int, ...], float] | None = None
    for what, tensor in sequences:
        own = tensor[:, :, direction]
        found = first_not_finite(own if runs_up else own.flip(0))
        if found is not None and (best is None or found[0][0] < best[0]):
            (order, *rest), value = found
            time = order if runs_up else len(own) - 1 - order
            best = order, what, (time, *rest), value
    return None if best is None else best[1:]


def _forward(layer: LayerRecording) -> Iterator[tuple[str, Tensor]]:
    """What a step computes, in its order."""
    if layer.is_open:
        yield from (
            (f"{n} gate before its activation", a) for n, a in layer.pre_activations.items()
        )
        yield from ((f"{name} gate", gate) for name, gate in layer.gates.items())
    yield from reversed(list(layer.states._asdict().items()))


def _backward(layer: LayerRecording) -> Iterator[tuple[str, Tensor]]:
    """What a step of the backward pass computes, in its order."""
    yield "dL/dh from outside the layer", layer.dy
    yield from ((f"dL/d{name}", d) for name, d in layer.dstates._asdict().items())
    yield from ((f"dL/d(pre-activation) of {n}", d) for n, d in layer.dpre_activations.items())


def _in_tensor(
    passage: str,
    event: Event,
    tensor: Tensor,
    windows: list[tuple[int, int]],
    is_batch_first: bool,
) -> Place | None:
    found = first_not_finite(tensor)
    if found is None:
        return None
    index, value = found
    is_weight = event.what == "gradient of the weight"
    axes = {} if is_weight else axes_of(tensor.shape, index, windows, is_batch_first)
    return Place(passage, event.module, event.what, value, index, **axes)  # type: ignore[arg-type]


def _largest(name: str, index: int, direction: int, layer: LayerRecording) -> Place:
    pairs = (("h", layer.states[0]), ("dL/dh", layer.dstates[0]))
    what, values = max(pairs, key=lambda pair: float(pair[1][:, :, direction].abs().max()))
    own = values[:, :, direction]
    batch, units = own.shape[1:]
    place = int(own.abs().argmax())
    time, row, unit = place // (batch * units), place // units % batch, place % units
    return Place(
        "norm",
        name,
        what,
        float(own[time, row, unit]),
        layer=index,
        direction=DIRECTIONS[direction],
        time=time,
        row=row,
        unit=unit,
    )


def _lies_in(name: str, outer: str) -> bool:
    return outer == "" or name.startswith(f"{outer}.")

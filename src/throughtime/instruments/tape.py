"""The tape: what the recurrent layers of a model compute, written down while it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from throughtime.errors import OptionError
from throughtime.instruments.dataset import dataset_of
from throughtime.instruments.keep import Keep
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.torch_layers import TorchWatch
from throughtime.layers import Recurrent
from throughtime.layers.conversion import twin_of
from throughtime.layers.observer import Watched

if TYPE_CHECKING:
    import xarray

KEEP_ALL = Keep()


class Tape:
    """What the recurrent layers of a model computed; made by `watch`.

    `tape[name]` is the last call of a module as an `xarray.Dataset` (see `dataset_of`).
    """

    def __init__(self, model: nn.Module, keep: Keep) -> None:
        self._keep = keep
        self._steps = 0  # forward calls of the model that have begun
        self._next: dict[str, int] = {}  # the step after the last one of a module
        self._is_inside = False  # a forward call of the model
        self._recordings: dict[str, list[Recording]] = {}
        self._spare: dict[str, list[Tensor | None]] = {}  # memory for the gradients to come
        self._endings: list[Callable[[], None]] = []
        unknown = []
        for name, module in model.named_modules():
            spot = Spot(self, name)
            if isinstance(module, Recurrent):
                self._look_at(module, spot)
            elif not isinstance(module, nn.RNNBase):
                continue
            elif twin_of(module) is None:
                unknown.append(f"{name or 'the model'} ({type(module).__name__})")
                continue
            else:
                self._endings.append(TorchWatch(module, spot).close)
            self._recordings[name] = []
        if unknown:
            warnings.warn(
                f"watch leaves out {', '.join(unknown)}, whose class may compute something else "
                "than the layer of torch.nn does.",
                stacklevel=3,
            )
        if not self._recordings:
            raise OptionError(
                "model must hold a recurrent layer of throughtime or torch.nn, got "
                f"{type(model).__name__} without one; one-step cells are not watched."
            )
        if not isinstance(model, Recurrent):  # whose calls are its steps
            whole = Spot(self)
            before = model.register_forward_pre_hook(whole.begin_step, prepend=True)
            after = model.register_forward_hook(whole.end_step, always_call=True)
            self._endings += [before.remove, after.remove]

    def _look_at(self, layer: Recurrent, spot: Spot) -> None:
        layer._observers = (*layer._observers, spot)

        def stop() -> None:
            layer._observers = tuple(other for other in layer._observers if other is not spot)

        self._endings.append(stop)

    @property
    def names(self) -> list[str]:
        """Of the modules that are watched."""
        return list(self._recordings)

    @property
    def keep(self) -> Keep:
        """What is kept, and how often."""
        return self._keep

    def close(self) -> None:
        """Stops watching; what is on the tape stays."""
        while self._endings:
            self._endings.pop()()

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def recordings(self, name: str | None = None) -> Sequence[Recording]:
        """The calls of a module that are on the tape, the latest last.

        Args:
            name: of the module; None where only one is watched.

        Raises:
            OptionError: no such module is watched, or several are and none is named.
        """
        names = self.names
        if name is None and len(names) == 1:
            (name,) = names
        if name not in self._recordings:
            raise OptionError(
                f"name must be one of {', '.join(map(repr, names))}, got {name!r}; name the module "
                "to look at."
            )
        found = tuple(self._recordings[name])
        for recording in found:
            for layer in recording.layers:
                layer.show()
        return found

    def recording(self, name: str | None = None, call: int = -1) -> Recording:
        """One call of a module, as tensors.

        Args:
            name: as in `recordings`.
            call: which of those; the latest by default.

        Raises:
            OptionError: as of `recordings`, or there is no such call on the tape.
        """
        found = self.recordings(name)
        if not -len(found) <= call < len(found):
            raise OptionError(
                f"call must be one of the {len(found)} on the tape, got {call}; run the model "
                "while it is watched, or keep more with Keep(last=...)."
            )
        return found[call]

    def dataset(self, name: str | None = None, call: int = -1) -> xarray.Dataset:
        """One call of a module, as labelled arrays (see `dataset_of`).

        Args:
            name: as in `recording`.
            call: as in `recording`.

        Raises:
            OptionError: as of `recording`.
        """
        return dataset_of(self.recording(name, call), frozenset(self._keep.what))

    def __getitem__(self, name: str) -> xarray.Dataset:
        return self.dataset(name)

    def __repr__(self) -> str:
        calls = {name: len(found) for name, found in self._recordings.items()}
        return f"Tape({', '.join(f'{name!r}: {num} calls' for name, num in calls.items())})"

    def begin_step(self) -> None:
        """A forward call of the model begins."""
        self._steps += 1
        self._is_inside = True

    def end_step(self) -> None:
        """It has ended."""
        self._is_inside = False

    def begin_call(self, name: str) -> bool:
        """Whether the call of a module that begins is to be kept; lets go of what is too old."""
        if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
            raise OptionError(
                "a watched model must run in eager mode, it runs under torch.compile, "
                "torch.export or a transform of torch.func; close the tape before."
            )
        step = self._steps - 1 if self._is_inside else self._next.get(name, 0)
        self._next[name] = step + 1
        if step % self._keep.every:
            return False
        if self._keep.last is not None:  # before it runs, which can use the memory
            self._forget(name, step - (self._keep.last - 1) * self._keep.every)
        return True

    def _forget(self, name: str, oldest: int) -> None:
        """Lets go of what a module did before a step, but for memory that only the tape knows."""
        found = self._recordings[name]
        old = [recording for recording in found if recording.step < oldest]
        found[:] = [recording for recording in found if recording.step >= oldest]
        if old:
            self._spare[name] = [layer.give_up() for recording in old for layer in recording.layers]

    def add(self, name: str, seen: Sequence[Watched], order: Tensor | None) -> None:
        """Keeps one call of a module."""
        layers = [LayerRecording(layer, order, self._keep.what) for layer in seen]
        spare = self._spare.pop(name, ())
        if torch.is_grad_enabled():  # gradients are to come
            for layer, memory in zip(layers, spare, strict=False):
                layer.take_over(memory)
        self._recordings[name].append(Recording(name, self._next[name] - 1, layers))


class Spot:
    """One watched module: where its layer hands over what it computes.

    Nobody watches a copy of the layer, nor one that was stored and loaded.
    """

    def __init__(self, tape: Tape | None = None, name: str = "") -> None:
        self._tape, self._name = tape, name
        self.wants_gradients = tape is not None and "gradients" in tape.keep.what

    def wants(self) -> bool:
        """Whether the tape keeps the call that begins."""
        return self._tape is not None and self._tape.begin_call(self._name)

    def see(self, layers: Sequence[Watched], order: Tensor | None) -> None:
        """Puts what every layer computed on the tape."""
        if self._tape is not None:
            self._tape.add(self._name, layers, order)

    def begin_step(self, *_: Any) -> None:
        """Where the spot is the model itself: its forward call begins."""
        if self._tape is not None:
            self._tape.begin_step()

    def end_step(self, *_: Any) -> None:
        """Its forward call has ended."""
        if self._tape is not None:
            self._tape.end_step()

    def __deepcopy__(self, _: Any) -> Spot:
        return Spot()

    def __reduce__(self) -> Any:
        return Spot, ()


def watch(model: nn.Module, keep: Keep = KEEP_ALL) -> Tape:
    """Writes down what the recurrent layers of a model compute, and their gradients.

        with tt.watch(model) as tape:
            loss = criterion(model(x), target)
            loss.backward()
        tape["encoder.rnn"]  # an xarray.Dataset

    Results have the same bits as without it. Layers of `torch.nn` give theirs, too: for them the
    tape computes the call a second time, in our layers over the same weights.

    Args:
        model: any module that holds our layers or `torch.nn`'s RNN, LSTM and GRU.
        keep: what to keep, and how often.

    Returns:
        The tape; watching ends with its `close` or with the block.

    Raises:
        OptionError: the model holds no recurrent layer, or one whose class is not known.
    """
    return Tape(model, keep)

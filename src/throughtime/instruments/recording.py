"""One call of a recurrent module, kept: what every layer computed, and its gradients."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.cells import AnyCell, Inside, Zoneout
from throughtime.errors import OptionError
from throughtime.instruments.keep import PARTS
from throughtime.instruments.padding import padded, padded_run
from throughtime.layers.observer import Watched
from throughtime.layers.run import Run
from throughtime.layers.trace import Adjoints, Trace, spread

_SOURCES = ("inputs", "states", "weights")


@dataclass(frozen=True)
class Recording:
    """One call of a recurrent module.

    Args:
        name: of the module in the watched model; "" where it is the model itself.
        step: which step of the tape, from 0.
        layers: from the input upwards.
    """

    name: str
    step: int
    layers: Sequence[LayerRecording]


class LayerRecording:
    """One layer in one call: tensors without a graph, [T, B, ...], rows as in the user's batch.

    Zeros where a row has no step. Gradients are those of the last backward pass through the call.

    It is made at every step of a training that is watched: views and the like wait until somebody
    asks.

    Args:
        seen: the call.
        order: of packed rows, see `Observer.see`.
        what: the parts to keep, of `keep.PARTS`.
    """

    def __init__(self, seen: Watched, order: Tensor | None, what: Collection[str]) -> None:
        self._what, self._order, self._adjoints = what, order, seen.trace.adjoints
        start = None if seen.start is None else type(seen.start)(*[f.detach() for f in seen.start])
        with torch.no_grad():  # so that a copy has no graph
            cells = [_copy(cell, "weights" in what) for cell in seen.cells]
        self._seen = seen._replace(cells=cells, x=seen.x.detach(), start=start)
        self._inside: Inside | None = None
        self._is_shown = False
        if self._adjoints is not None:
            self._adjoints.num_holders += 1
        self._kept = [self._seen.x, *seen.trace.kept] if len(what) == len(PARTS) else self._sift()
        self._versions = self._count_changes()

    def _sift(self) -> list[Tensor]:
        """Forgets what is not to be kept, once what is has been computed from it."""
        run, what = self._run, set(self._what)
        if not what.issuperset(_SOURCES) and what & {"gates", "pre_activations"}:
            if run.gates is None or "pre_activations" in what:
                self._inside = padded_run(run, self._order).inside()
        run = self._run = _without(run, what)
        self._seen = self._seen._replace(x=run.x, dropped=run.dropped, trace=Trace(False))
        return [run.x, *run.states, *([] if run.gates is None else [run.gates])]

    @property
    def run(self) -> Run:
        """Cells, inputs and states of the call.

        Raises:
            OptionError: inputs, states or weights were not kept, or numbers were changed in place.
        """
        self._need(*_SOURCES)
        return self._whole

    @property
    def x(self) -> Tensor:
        """What the layer got, after dropout, [T, B, I]."""
        self._need("inputs")
        return self._whole.x

    @property
    def states(self) -> Any:
        """The state after every step, fields [T, B, D, ·]."""
        self._need("states")
        return self._whole.states

    @property
    def shape(self) -> tuple[int, int]:
        """T and B."""
        steps, batch = self._whole.x.shape[:2]
        return steps, batch

    @property
    def cells(self) -> Sequence[AnyCell]:
        """One per direction; over the weights of the call if they were kept."""
        return self._whole.cells

    @property
    def num_directions(self) -> int:
        """D."""
        return len(self._seen.cells)

    @property
    def is_open(self) -> bool:
        """Whether the layer's cells show their gates."""
        return all(hasattr(cell, "inside") for cell in self._seen.cells)

    @property
    def has_gradients(self) -> bool:
        """Whether a backward pass went through the call."""
        return self._adjoints is not None and self._adjoints.are_known

    def show(self) -> None:
        """Notes that somebody has it, and may hold its numbers from now on."""
        self._is_shown = True

    def give_up(self) -> Tensor | None:
        """Forgets the gradients and leaves their memory, if nobody else can have them."""
        if self._is_shown or self._adjoints is None or self._adjoints.num_holders > 1:
            return None
        return self._adjoints.kernel.give_up()

    def take_over(self, memory: Tensor | None) -> None:
        """Has the gradients put where those of a forgotten call were."""
        if self._adjoints is not None:
            self._adjoints.kernel.memory = memory

    @property
    def valid(self) -> Tensor | None:
        """Which rows have a step t, bool [T, B]; None where all have."""
        return self._whole.rows.valid(self._whole.x)

    @property
    def gates(self) -> dict[str, Tensor]:
        """The gates by name, [T, B, D, H]; none of a cell that does not show them."""
        self._need("gates")
        known = self._whole.gates
        return self._look_inside().gates if known is None else self._whole.by_gate(known)

    @property
    def pre_activations(self) -> dict[str, Tensor]:
        """What the gates are activations of, [T, B, D, H]."""
        self._need("pre_activations")
        return self._look_inside().pre_activations

    @property
    def dy(self) -> Tensor:
        """dL/dh_t by all that reads the output of step t, [T, B, D, P].

        What came to h_t through the layer's own later steps is not in it.
        """
        dy, h = self._need_gradients().dy, self._whole.states[0]
        return torch.zeros_like(h) if dy is None else self._padded(dy).reshape(h.shape)

    @property
    def dstates(self) -> Any:
        """dL/dh_t in all, and dL/d of every other field of the state, fields [T, B, D, ·]."""
        adjoints, states = self._need_gradients(), self._whole.states
        handed = [dh for dh in (adjoints.kernel.dh, adjoints.kernel.dc) if dh is not None]
        if handed:
            return type(states)(*map(self._of_kernel, handed))
        fields = [
            self._of_notes([notes.states.get(name, {}) for notes in adjoints.notes], field)
            for name, field in zip(states._fields, states, strict=True)
        ]
        return type(states)(*fields)

    @property
    def dpre_activations(self) -> dict[str, Tensor]:
        """dL/d of every pre-activation by its gate, [T, B, D, H]."""
        adjoints, c_or_h = self._need_gradients(), self._whole.states[-1]
        if (dz := adjoints.kernel.dz) is not None:
            return self._run.by_gate(self._of_kernel(dz))
        names = adjoints.notes[0].pre_activations
        return {
            name: self._of_notes([notes.pre_activations[name] for notes in adjoints.notes], c_or_h)
            for name in names
        }

    @cached_property
    def _run(self) -> Run:
        seen = self._seen
        lead = seen.x.shape[:-1]
        states, gates = seen.trace.states(lead), seen.trace.gates(lead)
        others = seen.dropped, seen.is_residual
        return Run(seen.cells, seen.x, seen.start, seen.rows, states, gates, *others)

    @cached_property
    def _whole(self) -> Run:
        return padded_run(self._run, self._order)

    def _look_inside(self) -> Inside:
        if self._inside is None:
            with torch.no_grad():
                self._inside = self.run.inside()
        return self._inside

    def _padded(self, sequence: Tensor) -> Tensor:
        return padded(sequence, self._seen.rows, self._order)

    def _of_kernel(self, numbers: Tensor) -> Tensor:
        """What the kernel handed out, [N, D, ·], as [T, B, D, ·]."""
        return self._padded(numbers.view(*self._seen.x.shape[:-1], *numbers.shape[1:]))

    def _of_notes(self, steps: Sequence[dict[int, Tensor]], like: Tensor) -> Tensor:
        """What the loop noted, as a sequence like the one given, [T, B, D, ·]."""
        found = [spread(own, like[:, :, d]) for d, own in enumerate(steps)]
        full = torch.stack(found, dim=2)
        return full if self._order is None else full.index_select(1, self._order)

    def _need(self, *parts: str) -> None:
        """Refuses to show what was not kept, or is no longer what it was."""
        for part in parts:
            if part not in self._what:
                raise OptionError(
                    f"{part} must be on the tape, it keeps {', '.join(sorted(self._what))}; add "
                    f"{part!r} to Keep(what=...)."
                )
        if self._count_changes() != self._versions:
            raise OptionError(
                "a tape's numbers must be those of the call, the layer's input or output was "
                "changed in place; change a copy."
            )

    def _need_gradients(self) -> Adjoints:
        self._need("gradients")
        if self._adjoints is None or not self._adjoints.are_known:
            raise OptionError(
                "gradients must come from a backward pass through the call, the tape has seen "
                "none; call loss.backward() before, with gradients enabled."
            )
        return self._adjoints

    def _count_changes(self) -> list[int]:
        return [tensor._version for tensor in self._kept if not tensor.is_inference()]


def _without(run: Run, what: Collection[str]) -> Run:
    """The run with nothing but shapes where numbers are not to be kept."""
    if "inputs" not in what:
        run = run._replace(x=_shape_of(run.x), dropped=None)
    if "states" not in what:
        run = run._replace(states=type(run.states)(*map(_shape_of, run.states)))
    return run if "gates" in what else run._replace(gates=None)


def _shape_of(tensor: Tensor) -> Tensor:
    """A tensor of that shape that takes no memory."""
    return tensor.new_zeros(()).expand(tensor.shape)


def _copy(cell: Any, copies_weights: bool) -> Any:
    """The cell over weights without a graph: copies, or the same numbers."""
    if isinstance(cell, Zoneout):
        return replace(cell, cell=_copy(cell.cell, copies_weights))
    if isinstance(cell, nn.Module):
        return copy.deepcopy(cell).requires_grad_(False) if copies_weights else cell
    own = {n: value for n, value in vars(cell).items() if isinstance(value, Tensor)}
    for name, value in own.items():
        own[name] = value.clone() if copies_weights else value.detach()
    copied = object.__new__(type(cell))  # `replace` would check again what is as it was
    vars(copied).update(vars(cell), **own)
    return copied

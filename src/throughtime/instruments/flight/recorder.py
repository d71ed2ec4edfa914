"""The flight recorder: what a training did, what it should be warned of, how it ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from throughtime import record
from throughtime.bptt import Clipped
from throughtime.bptt.clipping import finite_norm, gradients_of
from throughtime.errors import OptionError
from throughtime.generators import capture_generators, raw_generators
from throughtime.instruments.flight.board import Board
from throughtime.instruments.flight.history import Update
from throughtime.instruments.flight.kept_step import KeptStep, check_can_be_kept, write_step
from throughtime.instruments.flight.lookout import Lookout
from throughtime.instruments.flight.readings import read_tape, rounded
from throughtime.instruments.keep import Keep
from throughtime.instruments.tape import Tape, watch

EVERY = 100
"""Updates between readings: rare enough to cost less than a hundredth of the training."""

_KEEP = Keep(what={"inputs", "states", "gates", "gradients", "weights"}, last=None)


class FlightRecorder:
    """Records a training in a folder, warns early, and keeps the step that went wrong.

        with tt.FlightRecorder(model, Path("run")) as recorder:
            for batch in batches:
                recorder.before_step(batch, carry)
                loss, carry = step(batch, carry)
                loss.backward()
                recorder.after_backward(loss, tt.bptt.clip_global_norm(model.parameters(), 1.0))
                optimizer.step()
                recorder.after_step()

    Every so many updates the step is watched (`watch`), and what `read_tape` finds becomes a line
    of `flight.jsonl`, beside the update-to-weight ratio |dW| / |W| of every parameter. Every
    update is judged by its loss and gradient norm (`rules`); a warning is said once until its
    condition has gone, and is a line too. Where a loss or gradient is not finite, batch, carry,
    weights and random state of the step go to the folder `crash`, for `replay`. The weights have
    the same bits as without it.

    Args:
        model: what is trained; holds a recurrent layer.
        folder: of the run; made if it is not there.
        every: updates between readings.
        clip: threshold of the clipping, to be judged too; None without clipping.
        announce: shows a warning.
        tensorboard: log folder of TensorBoard; None for none.
        state: of an earlier recorder of this run, to go on where it stood (`state_dict`).

    Raises:
        OptionError: `every` is below 1, or the model holds no recurrent layer.
        RunError: the folder cannot be written, or its file is shorter than the state says.
        PackageError: tensorboard is asked for and not installed.
    """

    def __init__(
        self,
        model: nn.Module,
        folder: Path,
        every: int = EVERY,
        clip: float | None = None,
        announce: Callable[[str], None] = print,
        tensorboard: Path | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        if every < 1:
            raise OptionError(f"every must be at least 1, got {every}; leave the recorder out.")
        watch(model).close()  # refuses now what could not be watched later
        self.model, self.folder, self.every, self.announce = model, folder, every, announce
        self.update = 0 if state is None else int(state["update"])
        self._lookout = Lookout(clip)
        if state is not None:
            self._lookout.load_state_dict(state["lookout"])
        with record.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lines = record.Lines(folder / record.FLIGHT, 0 if state is None else state["bytes"])
        self._board = None if tensorboard is None else Board(tensorboard, self.update)
        self._begun: tuple[Any, Any, Any, dict[str, Tensor]] | None = None
        self._tape: Tape | None = None
        self._layers: list[dict[str, Any]] | None = None
        self._weights: dict[str, Tensor] = {}
        self._now = Update(0, math.nan, math.nan, False)

    def before_step(self, batch: Any, carry: Any = None) -> None:
        """A step begins.

        Args:
            batch: what it reads; held until the next step, and not to be changed in place.
            carry: the state it begins with.

        Raises:
            OptionError: one of them could not be kept without pickling it.
        """
        if self._begun is None:
            check_can_be_kept("batch", batch)
            check_can_be_kept("carry", carry)
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self._begun = batch, carry, raw_generators(), buffers
        number = self.update + 1
        if number == 1 or number % self.every == 0 or self._lookout.wants_reading:
            self._tape = watch(self.model, _KEEP)

    def after_backward(self, loss: Tensor | float, clipped: Clipped | None = None) -> None:
        """The gradients are there, the weights have not moved.

        Args:
            loss: of the step, a number.
            clipped: what clipping saw and did; without it the norm is measured here.

        Raises:
            FloatingPointError: loss or gradient is not finite; the step has been kept.
        """
        value = _number(loss)
        try:
            if clipped is None:
                norm = finite_norm(gradients_of(self.model.parameters()))
                clipped = Clipped(norm, norm, False)
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss must be finite, got {value}")
        except FloatingPointError as error:
            self.save_step(value)
            raise FloatingPointError(
                f"{error}; the step is in {self.folder / record.CRASH}, and "
                "tt.instruments.replay names the first value that is not finite."
            ) from error
        self._now = Update(self.update + 1, value, clipped.before, clipped.acted)
        tape, self._tape = self._tape, None
        if tape is not None:
            tape.close()
            self._layers = read_tape(tape)
            self._weights = {n: p.detach().clone() for n, p in self.model.named_parameters()}

    def after_step(self) -> None:
        """The weights have moved: writes what was read, and warns."""
        self.update = self._now.number
        self._lookout.history.add(self._now)
        layers, self._layers = self._layers, None
        if layers is not None:
            self._write_reading(layers)
        for rule, text in self._lookout.judge(layers):
            line = {"kind": "gone" if text is None else "warning", "update": self.update}
            line |= {"rule": rule} if text is None else {"rule": rule, "text": text}
            self._lines.add(line)
            if text is not None:
                self.announce(f"warning at update {self.update:,}: {text}")
                if self._board is not None:
                    self._board.add_warning(rule, text, self.update)

    def _write_reading(self, layers: list[dict[str, Any]]) -> None:
        now = self._now
        line = {
            "kind": "reading",
            "update": now.number,
            "loss": now.loss,
            "gradient_norm": now.norm,
            "clipped": now.clipped,
            "update_ratio": self._update_ratios(),
            "layers": layers,
        }
        self._lines.add(line)
        if self._board is not None:
            self._board.add_reading(line)

    def _update_ratios(self) -> dict[str, float | None]:
        """|dW| / |W| by parameter; some 0.001 is usual. None where W is zero."""
        before, self._weights = self._weights, {}
        ratios: dict[str, float | None] = {}
        with torch.no_grad():
            for name, now in self.model.named_parameters():
                size = float(before[name].norm())
                change = float((now - before[name]).norm())
                ratios[name] = rounded(change / size) if size else None
        return ratios

    def save_step(self, loss: Tensor | float | None = None) -> None:
        """Keeps the step that has begun in the folder `crash`; the weights must not have moved.

        Args:
            loss: as it came out; None if it is not known.

        Raises:
            RunError: the folder cannot be written.
        """
        if self._tape is not None:
            self._tape.close()
        if self._begun is None:
            return
        batch, carry, raw, buffers = self._begun
        gradients = gradients_of(self.model.parameters())
        weights = dict(self.model.state_dict())
        weights |= {name: buffer for name, buffer in buffers.items() if name in weights}
        step = KeptStep(
            update=self.update + 1,
            batch=batch,
            carry=carry,
            generators=capture_generators(raw),
            weights=weights,
            is_training=self.model.training,
            loss=None if loss is None else _number(loss),
            norm=float(torch.nn.utils.get_total_norm(gradients)) if gradients else None,
            recent=[list(update) for update in self._lookout.history.recent],
        )
        write_step(self.folder / record.CRASH, step)
        self._begun = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to go on: plain lists and numbers. The lines are on the disk."""
        self._lines.sync()
        return {
            "update": self.update,
            "bytes": self._lines.length,
            "lookout": self._lookout.state_dict(),
        }

    def close(self) -> None:
        """Stops watching, and closes the files."""
        if self._tape is not None:
            self._tape.close()
        self._lines.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> FlightRecorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        """Closes; where clipping found a gradient that is not finite, keeps the step first."""
        if kind is not None and issubclass(kind, FloatingPointError):
            self.save_step()
        self.close()


def _number(loss: Tensor | float) -> float:
    return float(loss.detach() if isinstance(loss, Tensor) else loss)

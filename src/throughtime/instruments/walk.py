"""Step after step through what a recurrent module computed, with the Jacobian of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.errors import DataError, OptionError
from throughtime.instruments.step_map import StepMap, at_step, check_memory, join
from throughtime.instruments.tape import Tape
from throughtime.layers.run import Run
from throughtime.sequences import without_padding


class Moment(NamedTuple):
    """The Jacobian of one step, for every row; on the CPU."""

    t: int
    jacobian: Tensor  # ds_t/ds_{t-1}, float64 [B, S, S]; zeros where a row begins afresh
    is_step: Tensor  # whether a row has this step, bool [B]
    is_fresh: Tensor  # whether it begins afresh there, bool [B]


class Walk:
    """The steps of one layer and direction, or of a whole stack, as a tape has them.

    Args:
        runs: of one layer; or of all layers of a stack, from the input upwards.
        d: the direction.
        is_residual: whether every layer above the first adds its input to its output.
        rows: rows of the batch to look at; all when None.
        memory: bytes that Jacobians may take.

    Raises:
        OptionError: the Jacobians need more memory; there is no such row.
        DataError: a state or an input is not finite.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        d: int = 0,
        *,
        is_residual: bool = False,
        rows: Sequence[int] | None,
        memory: float,
    ) -> None:
        x = runs[0].x
        self.runs, self.d, self.is_residual = runs, d, is_residual
        self.rows = _read_rows(rows, x.shape[1])
        self.num_steps = len(x)
        valid = runs[0].rows.valid(x)
        carried = runs[0].rows.carried(x, reverse=d == 1)
        everywhere = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        self.valid = everywhere if valid is None else valid
        self._carried = everywhere if carried is None else carried
        self._x = without_padding(x, valid)
        self._before = without_padding(join([run.states_before(d) for run in runs]), valid)
        fields = [type(run.states)(*(field[:, :, d] for field in run.states)) for run in runs]
        self._after = without_padding(join(fields), valid)
        self.size = self._after.shape[-1]
        self._check_numbers()
        check_memory(
            len(self.rows), self.size, memory, "look at fewer with rows=[...], or raise memory="
        )

    def _check_numbers(self) -> None:
        """Refuses what is not finite, and says where it is."""
        for name, sequence in (("an input", self._x), ("a state", self._after)):
            wrong = (~sequence.isfinite()).any(-1)
            if wrong.any():
                t, b = (int(index) for index in wrong.nonzero()[0])
                raise DataError(
                    f"the tape must hold finite numbers for Jacobians, got {name} that is not "
                    f"at step {t} of row {b}; look at an earlier call, or at the rows without it."
                )

    def __iter__(self) -> Iterator[Moment]:
        """In the order of the forward pass."""
        steps = range(self.num_steps)
        return map(self._moment, reversed(steps) if self.d else steps)

    def __reversed__(self) -> Iterator[Moment]:
        """In the order of the backward pass."""
        steps = range(self.num_steps)
        return map(self._moment, steps if self.d else reversed(steps))

    def states(self) -> Tensor:
        """S of every step, [T, B, S]; NaN where a row has none."""
        states = self._after.masked_fill(~self.valid[..., None], torch.nan)
        return states[:, self.rows].cpu()

    def steepest(self) -> Tensor:
        """The largest slope |dh/dz| of a row's units, [B], of a cell h = g(z + a)."""
        cell = self.runs[0].cells[self.d]
        (state,) = StepMap([cell]).split(self._before)
        with torch.enable_grad():
            z = cell.project(self._x).detach().requires_grad_()
            (slope,) = torch.autograd.grad(cell.step(z, state)[0].sum(), z)
        return without_padding(slope, self.valid)[:, self.rows].abs().amax((0, 2)).cpu()

    def check_agreement(self) -> None:
        """Goes through the steps without their Jacobians.

        Raises:
            OptionError: the cells do not give the recorded states.
        """
        for t in range(self.num_steps):
            with torch.no_grad():
                after = self._step_map(t)(self._before[t, self.rows], self._x[t, self.rows])
            self._check(after, t)

    def _step_map(self, t: int) -> StepMap:
        cells = [at_step(run.cells[self.d], t, self.rows) for run in self.runs]
        return StepMap(cells, self.is_residual)

    def _moment(self, t: int) -> Moment:
        rows = self.rows
        after, jacobian = self._step_map(t).linearised(self._before[t, rows], self._x[t, rows])
        self._check(after, t)
        is_step, is_carried = self.valid[t, rows].cpu(), self._carried[t, rows].cpu()
        jacobian = jacobian.to("cpu", torch.float64).masked_fill(~is_carried[:, None, None], 0)
        return Moment(t, jacobian, is_step, is_step & ~is_carried)

    def _check(self, after: Tensor, t: int) -> None:
        """The map must give what the layer gave, or its Jacobians would be those of another."""
        is_step = self.valid[t, self.rows]
        if not is_step.any():
            return
        after, recorded = after[is_step], self._after[t, self.rows][is_step]
        error = float((after - recorded).abs().max())
        scale = 1 + float(recorded.abs().max())
        if not error <= torch.finfo(after.dtype).eps ** 0.5 * scale:
            raise OptionError(
                "the cells of the tape must give the states of its call once more, got a "
                f"difference of {error:.2g} at step {t}; watch in evaluation mode (model.eval()) "
                "what draws: dropout between layers, or noise of a cell of one's own."
            )


def _read_rows(rows: Sequence[int] | None, batch: int) -> Tensor:
    index = torch.arange(batch) if rows is None else torch.as_tensor(list(rows), dtype=torch.int64)
    if index.numel() == 0 or not 0 <= int(index.min()) <= int(index.max()) < batch:
        raise OptionError(
            f"rows must be numbers from 0 to B - 1 = {batch - 1}, got {index.tolist()}; name the "
            "rows of the batch to look at."
        )
    return index


def walks_of(
    tape: Tape,
    name: str | None,
    call: int,
    stack: bool,
    rows: Sequence[int] | None,
    memory: float,
) -> dict[tuple[int, int], Walk]:
    """A walk for every layer and direction of a call, or one for its whole stack.

    Args:
        tape: of `watch`.
        name: the recurrent module; may be left out where there is one.
        call: which of its calls.
        stack: whether all layers are one.
        rows: rows of the batch to look at; all when None.
        memory: bytes that Jacobians may take.

    Raises:
        OptionError: a stack runs in two directions; and as `Walk`.
        DataError: as `Walk`.
    """
    runs = [layer.run for layer in tape.recording(name, call).layers]
    if not stack:
        return {
            (layer, d): Walk([run], d, rows=rows, memory=memory)
            for layer, run in enumerate(runs)
            for d in range(len(run.cells))
        }
    if len(runs[0].cells) > 1:
        raise OptionError(
            "the layers of a stack must run in one direction to be one map, got two directions; "
            "look at each layer and direction with jacobians or lyapunov, stack=False."
        )
    is_residual = len(runs) > 2 and _is_residual(runs[1], runs[2])
    return {(0, 0): Walk(runs, is_residual=is_residual, rows=rows, memory=memory)}


def _is_residual(below: Run, above: Run) -> bool:
    """Whether what a layer read is the sum of input and output of the layer below."""
    y = below.states[0].flatten(2)
    return y.shape == below.x.shape and torch.allclose(above.x, below.x + y)

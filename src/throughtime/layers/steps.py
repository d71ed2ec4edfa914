"""What a layer computed at every step, as its user sees it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from throughtime.cells import Inside
from throughtime.errors import OptionError
from throughtime.layers.run import Run


class Steps:
    """All that one layer computed in a call with `return_all=True`; differentiable.

        steps[0].h, steps[0].c, steps[0].gates["forget"], steps[0].pre_activations["forget"]

    Each is [T, B, D, H], or [B, T, D, H] with `batch_first`, or [T, D, H] without a batch; zeros
    where a row has no step. The reverse direction, d = 1, stands in the order of time too.

    Attributes:
        h: hidden state after every step; beside it every other field of the cell's state by its
            name, an LSTM's `c` or those of a cell of one's own.

    Note:
        States, and the gates of LSTM and GRU, are the numbers that the kernel keeps for its
        backward pass. The rest is computed when first asked for, for all steps at once by the
        cell's `inside`, which takes as long as the two products of a forward pass. So is the
        derivative of a gate, in the backward pass of who asks for it.

    Example:
        >>> import torch, throughtime as tt
        >>> gru = tt.GRU(2, 4, num_layers=2)
        >>> y, h_n, (below, above) = gru(torch.ones(5, 3, 2), return_all=True)
        >>> list(above.gates), tuple(above.gates["update"].shape)
        (['reset', 'update', 'candidate'], (5, 3, 1, 4))
    """

    h: Tensor
    c: Tensor

    def __init__(self, run: Run, layout: Callable[[Tensor], Tensor]) -> None:
        self._run, self._layout = run, layout
        for name, field in zip(run.states._fields, run.states, strict=True):
            setattr(self, name, layout(field))
        self._gates = run.known_gates()
        self._versions = _versions(run)
        self._inside: dict[bool, Inside] = {}

    @property
    def gates(self) -> dict[str, Tensor]:
        """The gates by name, after their activation; of a GRU reset, update and candidate.

        Raises:
            OptionError: the cell has no `inside`; or a weight, the input or a state was changed
                since the call and they are not yet known.
        """
        return self._shown(self._look_inside().gates if self._gates is None else self._gates)

    @property
    def pre_activations(self) -> dict[str, Tensor]:
        """What the gates are activations of, by name; a coupled input gate has none.

        Raises:
            OptionError: as of `gates`.
        """
        return self._shown(self._look_inside().pre_activations)

    def _shown(self, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: self._layout(part) for name, part in parts.items()}

    def _look_inside(self) -> Inside:
        """Computed once, and once more for who wants derivatives after who did not."""
        is_recorded = torch.is_grad_enabled()
        if is_recorded not in self._inside:
            self._check_tensors()
            self._inside[is_recorded] = self._run.inside()
        return self._inside[is_recorded]

    def _check_tensors(self) -> None:
        if _versions(self._run) == self._versions:
            return
        if self._versions is None:
            raise OptionError(
                "gates and pre_activations of a compiled call must be asked for in the compiled "
                "function, they were asked for outside; return them from it."
            )
        raise OptionError(
            "gates and pre_activations must be asked for while input, weights and states are those "
            "of the call, one was changed in place; ask before the optimiser's step."
        )

    def __repr__(self) -> str:
        shapes = {name: list(getattr(self, name).shape) for name in self._run.states._fields}
        return f"Steps({', '.join(f'{name}={shape}' for name, shape in shapes.items())})"


def _versions(run: Run) -> list[int] | None:
    """How often each tensor was changed; nobody counts while compiling and in inference mode."""
    if torch.compiler.is_compiling():
        return None
    return [tensor._version for tensor in run.tensors() if not tensor.is_inference()]

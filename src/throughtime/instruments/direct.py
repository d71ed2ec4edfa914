"""What the losses give to every step directly, apart from what comes through later steps."""

from __future__ import annotations

import torch
from torch import Tensor

from throughtime.errors import DataError, OptionError
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.tape import Tape


def with_gradients(tape: Tape, name: str | None, call: int) -> Recording:
    """The recording of one call whose gradients are known and are numbers.

    Args:
        tape: of a forward and a backward pass.
        name: of the module; None where only one is watched.
        call: which of its calls on the tape.

    Raises:
        OptionError: as of `Tape.recording`; or the tape has no gradients, or did not keep them.
        DataError: a gradient is not finite.
    """
    recording = tape.recording(name, call)
    for index, layer in enumerate(recording.layers):
        for field in (layer.dy, *layer.dstates):
            wrong = (~field.isfinite()).any(dim=-1).nonzero()
            if len(wrong):
                t, row, _ = wrong[-1].tolist()  # the way back begins at the end
                raise DataError(
                    f"gradients must be finite, got one that is not in layer {index} at step {t}, "
                    f"row {row}; look at the loss and the states of that row."
                )
    return recording


def direct(layer: LayerRecording) -> Tensor:
    """dL/dh_t as it comes from outside the recurrence, [T, B, D, P].

    `dy`, and at the last step that a direction visits in a row all that came to it: from there
    on the state belongs to its user, and a loss that reads h_n is a loss of that step.
    """
    dy, dh, valid = layer.dy.clone(), layer.dstates[0], layer.valid
    for d in range(layer.num_directions):
        if d == 1:
            dy[0, :, d] = dh[0, :, d]
        elif valid is None:
            dy[-1, :, d] = dh[-1, :, d]
        else:
            is_last = valid & ~torch.cat([valid[1:], torch.zeros_like(valid[:1])])
            dy[:, :, d] = torch.where(is_last[..., None], dh[:, :, d], dy[:, :, d])
    return dy if valid is None else dy.masked_fill(~valid[..., None, None], 0)


def norm_of(gradient: Tensor) -> Tensor:
    """The Euclidean norm over the last axis; in float32 the square of 1e-23 would be 0."""
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=-1, dtype=torch.float64)
    return norm.to(gradient.dtype)


def check_sum(found: Tensor, total: Tensor, layer: int) -> None:
    """Refuses gradients of h that are not, all losses together, those of the backward pass.

    Args:
        found: [T, B, P], from what `direct` gives.
        total: [T, B, P], from the recording.
        layer: where they are.

    Raises:
        OptionError: as said.
    """
    error = (found - total).norm() / total.norm().clamp(min=torch.finfo(total.dtype).tiny)
    if not error <= torch.finfo(total.dtype).eps ** (1 / 3):
        raise OptionError(
            "the gradients of the losses of all steps must add up to that of the backward pass, "
            f"in layer {layer} they are off by {float(error):.2g} of it; compute losses from h "
            "alone, and detach the state between calls."
        )

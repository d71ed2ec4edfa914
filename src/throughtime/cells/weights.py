"""What the cells share: explicit weights, and the two products of a step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import layer_norm, linear


@dataclass(eq=False)
class Weights:
    """The weights of a cell, and the two products that its equations begin with.

        z_t = W_ih x_t + b_ih
        a_t = W_hh (m h_{t-1}) + b_hh

    With gains, both products are layer-normalised (Ba, Kiros and Hinton 2016):

        z_t = g_ih n(W_ih x_t) + b_ih,   n(v) = (v - mean v) / sqrt(var v + 1e-5)

    and a_t alike, with mean and variance over all G*H numbers of a row. m is the mask of a
    recurrent dropout, the same at every step of a sequence (Gal and Ghahramani 2016).

    Args:
        weight_ih: W_ih, [G*H, I], rows in the order of the cell's gates.
        weight_hh: W_hh, [G*H, H].
        bias_ih: b_ih, [G*H], or None.
        bias_hh: b_hh, [G*H], or None.
        norm_ih: g_ih, [G*H], or None for no normalisation.
        norm_hh: g_hh, [G*H], or None.
        h_0: h before the first step and after a reset, [H]; None for zeros.
        mask: m, [B, H]; None for ones.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    norm_ih: Tensor | None = None
    norm_hh: Tensor | None = None
    h_0: Tensor | None = None
    mask: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """z, [..., I] to [..., G*H]."""
        return affine(x, self.weight_ih, self.bias_ih, self.norm_ih)

    def recur(self, h: Tensor) -> Tensor:
        """a, [..., B, H] to [..., B, G*H]."""
        return affine(self.masked(h), self.weight_hh, self.bias_hh, self.norm_hh)

    def masked(self, h: Tensor) -> Tensor:
        """M h, for the first rows of the batch where the others have ended."""
        return h if self.mask is None else h * self.mask[: h.shape[-2]]

    def start(self, value: Tensor | None, batch: int, size: int) -> Tensor:
        """A field of the initial state, [B, size]: the learned one for every row, or zeros."""
        if value is None:
            return self.weight_hh.new_zeros(batch, size)
        return value.expand(batch, size)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None) -> Tensor:
    """W x + b; with a gain g, g n(W x) + b."""
    if gain is None:
        return linear(x, weight, bias)
    return layer_norm(linear(x, weight), gain.shape, gain, bias)

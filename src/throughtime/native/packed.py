"""The kernels' packed copies of weights, kept from call to call."""

from __future__ import annotations

from weakref import ref

import torch
from torch import Tensor
from torch.nn import Parameter

from throughtime.native import _kernels

_Sizes = tuple[str, torch.dtype, int, int, int, str]
_packed_layers: dict[int, tuple[ref[Tensor], _Sizes, _kernels.Layer]] = {}
"""By the identity of the recurrent parameter; a dictionary with weak keys would compare tensors."""


def packed_layer(owner: Tensor, sizes: _Sizes) -> _kernels.Layer:
    """The kernels' copy of a layer's weights, which lives as long as its recurrent parameter."""
    key = id(owner)
    if key in _packed_layers:
        known_owner, known_sizes, layer = _packed_layers[key]
        if known_owner() is owner and known_sizes == sizes:
            return layer
    name, dtype, D, num_inputs, H, nonlinearity = sizes
    is_double = dtype == torch.float64
    layer = _kernels.Layer(name, is_double, D, num_inputs, H, nonlinearity)
    if type(owner) is Parameter:
        _packed_layers[key] = ref(owner, lambda _: _packed_layers.pop(key, None)), sizes, layer
    return layer

"""From `torch.nn`'s recurrent layers to ours and back, inside any model, over the same weights."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from throughtime.layers.gru import GRU
from throughtime.layers.lstm import LSTM
from throughtime.layers.recurrent import Recurrent
from throughtime.layers.rnn import RNN
from throughtime.layers.single import GRUCell, LSTMCell, RNNCell, SingleStep

_LAYER = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")
_CELL = ("input_size", "hidden_size", "bias")

_KINDS: tuple[tuple[type[nn.Module], type[nn.Module], tuple[str, ...]], ...] = (
    (nn.RNN, RNN, (*_LAYER, "nonlinearity")),
    (nn.LSTM, LSTM, (*_LAYER, "proj_size")),
    (nn.GRU, GRU, _LAYER),
    (nn.RNNCell, RNNCell, (*_CELL, "nonlinearity")),
    (nn.LSTMCell, LSTMCell, _CELL),
    (nn.GRUCell, GRUCell, _CELL),
)
"""Torch's kind, ours, and the options that both are made with."""

_FAMILIES = (nn.RNNBase, nn.RNNCellBase), (Recurrent, SingleStep)


def convert(model: nn.Module, *, back: bool = False) -> nn.Module:
    """Puts our layers in the place of `torch.nn`'s recurrent ones, wherever they are in a model.

        nn.RNN  nn.LSTM  nn.GRU  nn.RNNCell  nn.LSTMCell  nn.GRUCell   ->   tt.RNN ... tt.GRUCell

    The model gives the same numbers as before. It is changed in place; the new layers hold the
    very `Parameter` objects of the old ones, so that an optimiser made before goes on with them,
    and take over training mode and hooks. A layer in several places stays one layer.

    Args:
        model: any module, or one of the layers itself.
        back: from ours to `torch.nn`'s.

    Returns:
        The model; or the new layer where the model is a layer itself.

    Warns:
        UserWarning: layers were left as they were; it names each and says why. These are
            subclasses, which may compute something else (among them parametrized layers);
            layers with attributes or parameters of their own (a replaced `forward`, `weight_norm`,
            an option that `torch.nn` has not); layers with a hook that is bound to them
            (`register_load_state_dict_pre_hook`).

    Note:
        A one-step module becomes our one-step module, and the Python loop around it stays a
        loop: it is the layers that run in the kernels. Only what `model.modules()` lists is
        seen; layers in plain lists and scripted ones are not.

    Example:
        >>> model = nn.Sequential(nn.LSTM(2, 4))
        >>> convert(model)
        Sequential(
          (0): LSTM(2, 4)
        )
        >>> type(convert(model, back=True)[0]) is nn.LSTM
        True
    """
    swaps: dict[nn.Module, nn.Module] = {}
    left: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, _FAMILIES[back]):
            continue
        twin, options = _twin(module, back)
        if reason := _reason(module, options):
            left.append(f"{name or 'the model'} ({type(module).__name__}), {reason}")
        else:
            swaps[module] = _take_over(twin(**options, device="meta"), module)
    if left:
        warnings.warn(f"convert left as they were: {'; '.join(left)}.", stacklevel=2)
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in swaps:
                parent._modules[name] = swaps[child]
    return swaps.get(model, model)


def twin_of(module: nn.Module) -> Recurrent | None:
    """Our layer over the very parameters of one of `torch.nn`, in its mode; None without one.

    Its hooks stay behind.
    """
    twin, options = _twin(module, back=False)
    if not isinstance(module, nn.RNNBase) or _reason(module, options):
        return None
    layer: Recurrent = twin(**options, device="meta")
    _share(layer, module)
    return layer


def _twin(module: nn.Module, back: bool) -> tuple[Any, dict[str, Any]]:
    """The class on the other side and the options for it; None and no options without one."""
    for kinds in _KINDS:
        if type(module) is kinds[back]:
            return kinds[not back], {name: getattr(module, name) for name in kinds[2]}
    return None, {}


def _reason(module: nn.Module, options: dict[str, Any]) -> str | None:
    """Why a layer cannot be replaced, or None."""
    if not options:
        return "whose class may compute something else than the layer of torch.nn does"
    fresh = type(module)(**options, device="meta")
    known = vars(fresh)
    public = {n: value for n, value in vars(module).items() if n[0] != "_" and n not in _FREE}
    odd = [n for n, value in public.items() if n not in known or known[n] != value]
    if odd:
        return f"whose {', '.join(odd)} the other layer has not"
    if [*module._parameters, *module._buffers, *module._modules] != [*fresh._parameters]:
        return f"whose parameters must be {', '.join(fresh._parameters)} and are not"
    if any(
        getattr(hook, "with_module", False) for hook in module._load_state_dict_pre_hooks.values()
    ):
        return "whose hook of loading is bound to it"
    return None


_FREE = ("training", "dropout")
"""Attributes that may have any value: both sides have them, and they are taken over."""


def _take_over(new: nn.Module, old: nn.Module) -> nn.Module:
    """Gives a new layer the parameters, the mode and the hooks of the old one."""
    for name in vars(nn.Module()):
        if "hook" in name:
            setattr(new, name, getattr(old, name))  # the same dictionaries: handles still work
    _share(new, old)
    return new


def _share(new: nn.Module, old: nn.Module) -> None:
    """Gives a new layer the parameters and the mode of the old one."""
    for name, parameter in old._parameters.items():
        setattr(new, name, parameter)
    for name in _FREE:
        if hasattr(old, name):
            setattr(new, name, getattr(old, name))

"""How far a gradient travels back through time, and how long it may be."""

from throughtime.bptt.auto_clipping import AutoClip
from throughtime.bptt.checkpointed import Checkpointed
from throughtime.bptt.clipping import Clipped, clip_global_norm
from throughtime.bptt.full import Full
from throughtime.bptt.parameter_clipping import clip_parameter_norms
from throughtime.bptt.strategy import Carry, StepsLoss, Strategy, Unroll
from throughtime.bptt.truncated import Truncated
from throughtime.bptt.truncation_bias import Bias, TruncationBias, truncation_bias
from throughtime.bptt.unit_clipping import clip_unit_norms
from throughtime.bptt.value_clipping import clip_values

__all__ = [
    "AutoClip",
    "Bias",
    "Carry",
    "Checkpointed",
    "Clipped",
    "Full",
    "StepsLoss",
    "Strategy",
    "Truncated",
    "TruncationBias",
    "Unroll",
    "clip_global_norm",
    "clip_parameter_norms",
    "clip_unit_norms",
    "clip_values",
    "truncation_bias",
]

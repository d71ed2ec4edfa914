"""How far a gradient travels back through time, and how long it may be."""

from throughtime.bptt.checkpointed import Checkpointed
from throughtime.bptt.clipping import Clipped, clip_global_norm
from throughtime.bptt.full import Full
from throughtime.bptt.strategy import Carry, StepsLoss, Strategy, Unroll
from throughtime.bptt.truncated import Truncated

__all__ = [
    "Carry",
    "Checkpointed",
    "Clipped",
    "Full",
    "StepsLoss",
    "Strategy",
    "Truncated",
    "Unroll",
    "clip_global_norm",
]

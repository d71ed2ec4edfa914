"""How far a gradient travels back through time, and how long it may be."""

from throughtime.bptt.clipping import Clipped, clip_global_norm
from throughtime.bptt.truncated import Carry, Truncated, Unroll

__all__ = ["Carry", "Clipped", "Truncated", "Unroll", "clip_global_norm"]

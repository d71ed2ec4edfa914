"""The same step, faster: compiled kernels behind the cells, as differentiable torch functions."""

from throughtime.native.layer import refusal, run_layer

__all__ = ["refusal", "run_layer"]

"""Watching: what a recurrent network does, measured without changing it."""

from throughtime.instruments.figures import draw_gradient_flow, gradient_flow_figure, save_figure
from throughtime.instruments.gradient_flow import GradientFlow, gradient_flow

__all__ = [
    "GradientFlow",
    "draw_gradient_flow",
    "gradient_flow",
    "gradient_flow_figure",
    "save_figure",
]

"""Watching: what a recurrent network does, measured without changing it."""

from throughtime.instruments.figures import draw_gradient_flow, gradient_flow_figure, save_figure
from throughtime.instruments.gradient_flow import GradientFlow, gradient_flow
from throughtime.instruments.weight_gradients import WeightGradients, by_lag, by_step

__all__ = [
    "GradientFlow",
    "WeightGradients",
    "by_lag",
    "by_step",
    "draw_gradient_flow",
    "gradient_flow",
    "gradient_flow_figure",
    "save_figure",
]

"""Watching: what a recurrent network does, measured without changing it."""

from throughtime.instruments.figures import draw_gradient_flow, gradient_flow_figure, save_figure
from throughtime.instruments.figures_dynamics import (
    draw_lyapunov,
    draw_products,
    draw_spectrum,
)
from throughtime.instruments.figures_fixed_points import draw_fixed_points
from throughtime.instruments.fixed_points import fixed_points
from throughtime.instruments.gradient_flow import GradientFlow, gradient_flow
from throughtime.instruments.jacobians import jacobians
from throughtime.instruments.keep import Keep
from throughtime.instruments.lyapunov import lyapunov
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.tape import Tape, watch
from throughtime.instruments.weight_gradients import WeightGradients, by_lag, by_step

__all__ = [
    "GradientFlow",
    "Keep",
    "LayerRecording",
    "Recording",
    "Tape",
    "WeightGradients",
    "by_lag",
    "by_step",
    "draw_fixed_points",
    "draw_gradient_flow",
    "draw_lyapunov",
    "draw_products",
    "draw_spectrum",
    "fixed_points",
    "gradient_flow",
    "gradient_flow_figure",
    "jacobians",
    "lyapunov",
    "save_figure",
    "watch",
]

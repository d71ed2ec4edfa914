"""Watching: what a recurrent network does, measured without changing it."""

from throughtime.instruments.credit import Credit, credit
from throughtime.instruments.figures import figure_of, save_figure
from throughtime.instruments.figures_credit import draw_credit, draw_credit_by_lag
from throughtime.instruments.figures_gradients import (
    draw_gradient_flow,
    draw_saliency,
    draw_weight_gradient,
)
from throughtime.instruments.gradient_flow import gradient_flow
from throughtime.instruments.horizon import Horizon, find_horizon
from throughtime.instruments.keep import Keep
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.saliency import saliency
from throughtime.instruments.tape import Tape, watch
from throughtime.instruments.weight_gradient import weight_gradient, weight_shares

__all__ = [
    "Credit",
    "Horizon",
    "Keep",
    "LayerRecording",
    "Recording",
    "Tape",
    "credit",
    "draw_credit",
    "draw_credit_by_lag",
    "draw_gradient_flow",
    "draw_saliency",
    "draw_weight_gradient",
    "figure_of",
    "find_horizon",
    "gradient_flow",
    "saliency",
    "save_figure",
    "watch",
    "weight_gradient",
    "weight_shares",
]

"""Watching: what a recurrent network does, measured without changing it."""

from throughtime.instruments.figures import draw_gradient_flow, gradient_flow_figure, save_figure
from throughtime.instruments.flight import FlightRecorder, Place, Replay, replay
from throughtime.instruments.gradient_flow import GradientFlow, gradient_flow
from throughtime.instruments.keep import Keep
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.tape import Tape, watch
from throughtime.instruments.weight_gradients import WeightGradients, by_lag, by_step

__all__ = [
    "FlightRecorder",
    "GradientFlow",
    "Keep",
    "LayerRecording",
    "Place",
    "Recording",
    "Replay",
    "Tape",
    "WeightGradients",
    "by_lag",
    "by_step",
    "draw_gradient_flow",
    "gradient_flow",
    "gradient_flow_figure",
    "replay",
    "save_figure",
    "watch",
]

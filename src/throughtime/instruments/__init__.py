"""Watching: what a recurrent network does, measured without changing it."""

from throughtime.instruments.credit import Credit, credit
from throughtime.instruments.figures import figure_of, save_figure
from throughtime.instruments.figures_credit import draw_credit, draw_credit_by_lag
from throughtime.instruments.figures_dynamics import draw_lyapunov, draw_products, draw_spectrum
from throughtime.instruments.figures_fixed_points import draw_fixed_points
from throughtime.instruments.figures_gates import (
    draw_distribution,
    draw_half_lives,
    draw_saturation,
    gates_figure,
)
from throughtime.instruments.figures_gradients import (
    draw_gradient_flow,
    draw_saliency,
    draw_weight_gradient,
)
from throughtime.instruments.figures_units import (
    draw_baseline,
    draw_unit_by_property,
    found_units_figure,
)
from throughtime.instruments.find_units import PROPERTIES, find_units
from throughtime.instruments.fixed_points import fixed_points
from throughtime.instruments.flight import FlightRecorder, Place, Replay, replay
from throughtime.instruments.found_units import FoundUnits
from throughtime.instruments.gates import gates
from throughtime.instruments.gradient_flow import gradient_flow
from throughtime.instruments.horizon import Horizon, find_horizon
from throughtime.instruments.jacobians import jacobians
from throughtime.instruments.keep import Keep
from throughtime.instruments.lyapunov import lyapunov
from throughtime.instruments.properties import matching
from throughtime.instruments.reading import Reading, Unit
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.saliency import saliency
from throughtime.instruments.tape import Tape, watch
from throughtime.instruments.unit_text import UnitText, units
from throughtime.instruments.weight_gradient import weight_gradient, weight_shares

__all__ = [
    "PROPERTIES",
    "Credit",
    "FlightRecorder",
    "FoundUnits",
    "Horizon",
    "Keep",
    "LayerRecording",
    "Place",
    "Reading",
    "Recording",
    "Replay",
    "Tape",
    "Unit",
    "UnitText",
    "credit",
    "draw_baseline",
    "draw_credit",
    "draw_credit_by_lag",
    "draw_distribution",
    "draw_fixed_points",
    "draw_gradient_flow",
    "draw_half_lives",
    "draw_lyapunov",
    "draw_products",
    "draw_saliency",
    "draw_saturation",
    "draw_spectrum",
    "draw_unit_by_property",
    "draw_weight_gradient",
    "figure_of",
    "find_horizon",
    "find_units",
    "fixed_points",
    "found_units_figure",
    "gates",
    "gates_figure",
    "gradient_flow",
    "jacobians",
    "lyapunov",
    "matching",
    "replay",
    "saliency",
    "save_figure",
    "units",
    "watch",
    "weight_gradient",
    "weight_shares",
]

"""The flight recorder: numbers of a training, early warnings, and the step that went wrong."""

from throughtime.instruments.flight.place import Place
from throughtime.instruments.flight.recorder import EVERY, FlightRecorder
from throughtime.instruments.flight.replay import Replay, replay

__all__ = ["EVERY", "FlightRecorder", "Place", "Replay", "replay"]

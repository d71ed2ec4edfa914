"""The report: one self-contained page made from what instruments measured on trained runs."""

from throughtime.web.data import (
    Credit,
    Curves,
    FixedPoints,
    Flow,
    FoundUnit,
    GateLayer,
    Gates,
    LayerPoints,
    LayerSpectra,
    LayerUnits,
    Missing,
    ReportData,
    Spectra,
    Units,
)
from throughtime.web.page import MOST_BYTES, MOST_RUNS, build_page

__all__ = [
    "MOST_BYTES",
    "MOST_RUNS",
    "Credit",
    "Curves",
    "FixedPoints",
    "Flow",
    "FoundUnit",
    "GateLayer",
    "Gates",
    "LayerPoints",
    "LayerSpectra",
    "LayerUnits",
    "Missing",
    "ReportData",
    "Spectra",
    "Units",
    "build_page",
]

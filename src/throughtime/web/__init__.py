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
    Section,
    Spectra,
    Units,
)
from throughtime.web.page import MOST_BYTES, MOST_RUNS, build_page, check_comparable

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
    "Section",
    "Spectra",
    "Units",
    "build_page",
    "check_comparable",
]

"""Settings of every test: hypothesis' profile for continuous integration, and a fixed seed."""

import pytest
import torch
from hypothesis import settings

settings.load_profile("ci")


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test draws the same numbers whichever tests ran before it."""
    torch.manual_seed(0)

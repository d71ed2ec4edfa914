"""Settings of every test: hypothesis' profile for continuous integration, seed and threads."""

import pytest
import torch
from hypothesis import settings

settings.load_profile("ci")
torch.set_num_threads(1)  # tensors are tiny; a test of threads sets its own number


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test draws the same numbers whichever tests ran before it."""
    torch.manual_seed(0)

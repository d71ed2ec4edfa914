"""Training: the loop every recipe shares."""

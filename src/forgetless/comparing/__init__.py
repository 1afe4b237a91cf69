"""Methods beside one another, each at its own best, between plain and joint training."""

"""Measurements; each command prints figures relative to a peer measured in the same run."""

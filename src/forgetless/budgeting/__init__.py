"""The retention budget of a plan: learn as much as possible, lose at most this much."""

"""Model and task to per-item results: likelihood scoring, generation scoring, records."""

"""Models that a provider fine-tunes: a stage is a job there, its data new rows and rehearsal."""

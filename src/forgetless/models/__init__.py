"""Models: where they come from, how they are loaded, how they are saved."""

"""All methods beside one another: what they keep, what they learn, what they cost."""

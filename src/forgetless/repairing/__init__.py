"""Repair without training: the point between base and tuned model that keeps most within budget."""

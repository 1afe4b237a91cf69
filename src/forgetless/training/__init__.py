"""Optimisation of one stage, on transformers.Trainer."""

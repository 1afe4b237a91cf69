"""Fine-tune a language model on one task after another without losing what it knew, and prove it."""

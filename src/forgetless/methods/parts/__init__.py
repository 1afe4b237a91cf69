"""What several methods share; each method itself is one file in the folder above."""

"""Tests of the comparison of methods."""

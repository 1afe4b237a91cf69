"""Rows to examples: sources, formats, splits, rendering; and the tasks that come with us."""

"""Accessible inline SVG, drawn in plain Python and coloured by the page's style sheet."""

"""Render results as text for an 80-column terminal."""

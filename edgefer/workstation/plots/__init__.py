"""Figures of training runs and errors, with matplotlib."""

"""Plots of training runs, evaluations and errors, with matplotlib."""

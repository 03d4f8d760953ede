"""Reproducible training set-ups, one file each: SYSTEM."""

"""Reproducible training configurations, one module per system; each defines SYSTEM."""

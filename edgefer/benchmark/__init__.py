"""Measure latency, memory and energy of a model on this machine."""

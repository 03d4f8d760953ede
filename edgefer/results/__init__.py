"""Versioned JSON records of evaluations, measurements, inspections and quantizations."""

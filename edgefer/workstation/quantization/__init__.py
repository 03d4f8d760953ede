"""Quantization: calibration, conversion, rounding, sensitivity analysis, quantization schemes."""

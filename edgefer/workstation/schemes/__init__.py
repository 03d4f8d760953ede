"""Quantization schemes, one file each: NEEDS_CALIBRATION and convert()."""

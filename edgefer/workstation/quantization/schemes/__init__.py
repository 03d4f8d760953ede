"""Quantization schemes, one file each: NEEDS_CALIBRATION, NEEDS_TRAINING and convert()."""

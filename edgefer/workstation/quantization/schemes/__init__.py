"""Quantization schemes, one file each: NEEDS_CALIBRATION, NEEDS_TRAINING, SUPPORTED_OPTIONS and convert()."""

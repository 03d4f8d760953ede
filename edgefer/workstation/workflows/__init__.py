"""Workflows behind `edgefer train` and `edgefer quantize`."""

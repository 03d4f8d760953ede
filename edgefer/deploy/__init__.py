"""Packaging for a device: one-file bundles, C arrays, TFLite Micro, environment checks."""

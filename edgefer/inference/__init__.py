"""Inference: image in, expression out."""

"""Kinds of boards: how each tells its heat, its clock, and what holds it back. See edgefer.device.platform."""

"""Kinds of boards: their sensors for temperature, clock, throttling and power. See edgefer.device.platform."""

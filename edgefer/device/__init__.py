"""Facts about this device: processor, limits, temperature, clock, throttling and power."""

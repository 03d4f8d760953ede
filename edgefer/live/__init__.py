"""Live video: capture, track, classify, publish."""

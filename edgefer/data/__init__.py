"""Data sets: formats, validation, splits, FER+ votes and synthetic faces; numpy and OpenCV only."""

"""Data sets: read them, check them, split them; numpy and OpenCV only."""

"""Where frames come from, one kind of camera a file; edgefer/live/camera.py says what a file has."""

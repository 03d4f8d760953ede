"""Where frames come from, one kind of camera a file; edgefer/board/camera.py says what a file has."""

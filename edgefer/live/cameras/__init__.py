"""Camera plug-ins, one kind of camera per module; CameraModule in ``edgefer/live/camera.py`` is their interface."""

"""Face detectors, one module each; edgefer.inference.face_detection.DetectorModule defines the interface."""

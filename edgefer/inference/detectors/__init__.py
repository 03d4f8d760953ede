"""What finds faces in a picture, one file each; edgefer/inference/face_detection.py says what a file has."""

"""What finds faces in a picture, one file each; edgefer/board/faces.py says what a file has."""

"""What runs on the device: numpy, OpenCV and a TensorFlow Lite runtime, nothing else."""

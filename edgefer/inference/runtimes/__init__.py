"""TensorFlow Lite runtimes, one file each: available() and open_model()."""

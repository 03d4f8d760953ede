"""What runs on a workstation. The only rooms that may import TensorFlow, Keras or matplotlib."""

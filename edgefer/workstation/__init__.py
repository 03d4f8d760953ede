"""Training and quantization. The only package that may import TensorFlow, Keras or matplotlib."""

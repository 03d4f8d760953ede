"""Networks: the Keras backend, building blocks and architectures."""

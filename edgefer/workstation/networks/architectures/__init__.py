"""Network architectures, one module each; build(keras, ...) returns a functional model that outputs logits."""

"""Network architectures, one file each: build(keras, ...) gives a functional model that ends in logits."""

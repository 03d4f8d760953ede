"""Agreements between training and deployment: labels, preprocessing, quantization parameters, artifact format."""

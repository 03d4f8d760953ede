"""Facts about a .tflite file: operators, memory, delegates, compatibility, parity between runtimes."""

"""A search space of tiny networks, which train in seconds."""

SPACE = """
system = "demo"
epochs = 2
faces = 140

[fixed]
model.stem = 4
ema_epochs = 0

[drawn]
learning_rate = { low = 0.002, high = 0.02, log = true }
model.width = { choice = [4, 6, 8, 32] }
augment.zoom = { low = 0, high = 0.2 }
"""

"""Boards that are reached from a workstation: which there are, what they have, and benches on them."""

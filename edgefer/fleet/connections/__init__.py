"""Kinds of connections, one file each."""

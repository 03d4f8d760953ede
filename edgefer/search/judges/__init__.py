"""Judges, one per file; judge.py describes the members of a judge."""

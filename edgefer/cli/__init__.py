"""Command line: parse arguments, run a command, return an exit code."""

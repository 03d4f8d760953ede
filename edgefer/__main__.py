"""Run the command line with ``python -m edgefer``."""

from edgefer.cli.main import main

main()

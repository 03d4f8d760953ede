"""python -m edgefer"""

from edgefer.cli.main import main

main()

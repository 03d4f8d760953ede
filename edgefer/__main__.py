"""Run the command line with ``python -m edgefer``."""

import os
import sys


def _ignore_working_folder() -> None:
    """Remove the folder that Python puts first on the path: a cv2.py there would be imported instead of OpenCV.

    ``python -m`` adds the working folder, and ``python edgefer`` the package itself. Only Python 3.11 and later have an
    option against it, -P.
    """
    try:
        working_folder = os.getcwd()  # noqa: PTH109 - pathlib has not been imported yet
    except OSError:  # it was removed
        working_folder = ""
    if sys.path[:1] in ([""], [working_folder], [os.path.dirname(os.path.abspath(__file__))]):  # noqa: PTH100, PTH120
        del sys.path[0]


if __name__ == "__main__":
    _ignore_working_folder()
    from edgefer.cli.main import main

    main()

"""Create figures without a window, in colors that color-blind readers can distinguish, and save them atomically.

    @figure.default_style
    def draw_something(path: Path) -> None:
        fig, (axis,) = figure.figure(1, size=(7, 5))
        axis.plot(...)
        figure.save(fig, path)

The colors are those of Okabe and Ito (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

from edgefer import files
from edgefer.errors import EdgeferError

__all__ = [
    "BLUE", "GRAY", "GREEN", "SKY", "VERMILION", "blank", "default_style", "figure", "require_matplotlib",
    "save",
]  # fmt: skip

Arguments = ParamSpec("Arguments")
BLUE, VERMILION, GREEN, SKY, GRAY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#555555"


def require_matplotlib() -> None:
    """Import matplotlib, before a slow command starts; the user's display and configuration have no influence.

    Raises:
        EdgeferError: matplotlib cannot be imported.
    """
    if sys.modules.get("matplotlib") and "matplotlib.backends.backend_agg" in sys.modules:
        return
    # A notebook sets MPLBACKEND for its kernel, and matplotlib rejects a backend of packages that are missing here.
    backend = os.environ.pop("MPLBACKEND", None)
    configuration = os.environ.get("MATPLOTLIBRC")
    os.environ["MATPLOTLIBRC"] = os.devnull  # an empty file
    logger = logging.getLogger("matplotlib")  # warns of folders for its cache that cannot be written
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import matplotlib.backends.backend_agg  # noqa: F401
    except ImportError as error:
        hint = "in a checkout of edgefer: pip install -e '.[workstation]'"
        if not isinstance(error, ModuleNotFoundError):  # installed, but damaged or without a library of the system
            hint = "pip install --force-reinstall matplotlib"
        raise EdgeferError("matplotlib cannot be imported", why=f"plots need it; {error}", hint=hint) from error
    except (OSError, ValueError) as error:
        # A matplotlibrc in the working folder is read whatever $MATPLOTLIBRC is.
        hint = f"move {Path('matplotlibrc').absolute()}" if Path("matplotlibrc").exists() else "check MPLCONFIGDIR"
        raise EdgeferError("matplotlib cannot be imported", why=str(error), hint=hint) from error
    finally:
        logger.setLevel(level)
        for name, value in (("MPLBACKEND", backend), ("MATPLOTLIBRC", configuration)):
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def default_style(draw: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Decorate a function that draws, so that it uses matplotlib's own defaults instead of the user's style."""

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **options: Arguments.kwargs) -> None:
        require_matplotlib()
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            # Dollar signs in the names of classes, models and files enclose no formula.
            matplotlib.rcParams["text.parse_math"] = False
            draw(*args, **options)

    return drawn


def figure(rows: int, *, size: tuple[float, float], columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Create a figure with a grid of axes.

    Args:
        rows: rows of axes.
        size: width and height in inches.
        columns: columns of axes.
        options: further arguments of subplots().

    Returns:
        The figure, and its axes as an array (rows,), or (rows, columns) for several columns.
    """
    fig = _new_figure(size, layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False, **options)
    return fig, axes[:, 0] if columns == 1 else axes


def blank(size: tuple[float, float]) -> tuple[Any, Any]:
    """Create a figure with one axis that spans it, in inches from the upper left corner, for manual placement."""
    fig = _new_figure(size, layout=None)
    axis = fig.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set(xlim=(0, size[0]), ylim=(size[1], 0))
    return fig, axis


def save(figure: Any, path: Path) -> None:
    """Write a figure to a PNG file atomically."""
    with files.atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _new_figure(size: tuple[float, float], *, layout: str | None) -> Any:
    # Without pyplot, matplotlib needs no window system and keeps no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=size, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(fig)
    return fig

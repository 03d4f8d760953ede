"""Create figures without a window, in colors that color-blind readers can distinguish, and save them atomically.

    fig, (axis,) = figure.figure(1, size=(7, 5))
    axis.plot(...)
    figure.save(fig, path)

The colors are those of Okabe and Ito (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import EdgeferError

__all__ = ["BLUE", "GRAY", "GREEN", "SKY", "VERMILION", "blank", "figure", "require_matplotlib", "save"]

BLUE, VERMILION, GREEN, SKY, GRAY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#555555"


def require_matplotlib() -> None:
    """Check that matplotlib is installed, before a slow command starts.

    Raises:
        EdgeferError: matplotlib cannot be imported.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        hint = "in a checkout of edgefer: pip install -e '.[workstation]'"
        raise EdgeferError("matplotlib cannot be imported", why=f"plots need it; {error}", hint=hint) from error


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

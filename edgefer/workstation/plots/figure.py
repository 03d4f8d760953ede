"""What every picture begins and ends with: a figure without a window, colours that stay apart, a file that is whole.

    figure, (axis,) = canvas.figure(1, size=(7, 5))
    axis.plot(...)
    canvas.save(figure, path)

Colours are Okabe and Ito's, which stay apart for colour-blind readers (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import EdgeferError

__all__ = ["BLUE", "GREEN", "GREY", "SKY", "VERMILION", "blank", "figure", "require_matplotlib", "save"]

BLUE, VERMILION, GREEN, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#555555"


def require_matplotlib() -> None:
    """Raise EdgeferError where nothing can be drawn, so that a long command says so before it begins."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        hint = "in a checkout of edgefer: pip install -e '.[workstation]'"
        raise EdgeferError("matplotlib cannot be imported", why=f"it draws the pictures; {error}", hint=hint) from error


def figure(rows: int, *, size: tuple[float, float], columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure of ``size`` inches with its axes: (rows,) of them, or (rows, columns); options as subplots() takes."""
    made = _bare(size, layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False, **options)
    return made, axes[:, 0] if columns == 1 else axes


def blank(size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure with one axis over all of it, in inches from the upper left corner, for what is placed by hand."""
    made = _bare(size, layout=None)
    axis = made.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set(xlim=(0, size[0]), ylim=(size[1], 0))
    return made, axis


def save(figure: Any, path: Path) -> None:
    """Write ``figure`` to ``path`` as PNG, in one step."""
    with files.atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _bare(size: tuple[float, float], *, layout: str | None) -> Any:
    # Figure without pyplot: no window system is looked for, and no state stays behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=size, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(made)
    return made

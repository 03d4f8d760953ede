"""Plots are the same with any display, matplotlibrc, style and environment."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from edgefer.errors import EdgeferError
from edgefer.workstation.plots import curves, faces, figure
from edgefer.workstation.plots.curves import draw_layers

ROOT = Path(__file__).parents[3]
STYLE = {"axes.facecolor": "red", "font.size": 20, "savefig.bbox": "tight", "lines.linewidth": 9, "figure.dpi": 300}
LAYERS = (["stem", "head"], {"activations": [40.0, 12.0], "weights": [30.0, 20.0]})
DRAW = """
from pathlib import Path
from edgefer.workstation.plots.curves import draw_layers
draw_layers(["stem", "head"], {"activations": [40.0, 12.0], "weights": [30.0, 20.0]}, Path("layers.png"), named=())
"""


def draw_in_process(folder, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB"))}
    program = [sys.executable, "-c", DRAW]
    return subprocess.run(
        program, cwd=folder, env={**inherited, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    ended = draw_in_process(folder)
    assert ended.returncode == 0, ended.stderr
    return (folder / "layers.png").read_bytes()


@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MPLCONFIGDIR": "/proc/nowhere"},
        {"MPLBACKEND": "TkAgg", "DISPLAY": ":99", "MATPLOTLIBRC": "user.rc", "MPLCONFIGDIR": "config"},
        {"MPLBACKEND": "nonsense", **dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/proc/nowhere")},
    ],
    ids=["notebook", "desktop", "service"],
)
def test_the_environment_has_no_influence(tmp_path, expected, environment):
    configuration = "".join(f"{name}: {value}\n" for name, value in STYLE.items()) + "text.usetex: True\nnonsense\n"
    (tmp_path / "config").mkdir()
    for name in ("user.rc", "matplotlibrc", "config/matplotlibrc"):
        (tmp_path / name).write_text(configuration)
    ended = draw_in_process(tmp_path, **environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "layers.png").read_bytes() == expected


def test_a_matplotlibrc_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: 9 # \xff\n")
    ended = draw_in_process(tmp_path)
    assert "EdgeferError: matplotlib cannot be imported: 'utf-8' codec" in ended.stderr
    assert f"try: move {tmp_path / 'matplotlibrc'}" in ended.stderr


def test_dollar_signs_in_names_are_no_formulas(tmp_path):
    series = {"$\\frac$": [1.0, 2.0]}
    draw_layers(["a$b$", "$x_$"], series, tmp_path / "layers.png", named=())
    assert (tmp_path / "layers.png").stat().st_size


def test_the_style_of_a_program_neither_changes_a_plot_nor_is_lost(tmp_path):
    draw_layers(*LAYERS, tmp_path / "expected.png", named=())
    with matplotlib.rc_context(STYLE):
        draw_layers(*LAYERS, tmp_path / "layers.png", named=())
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "layers.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


@pytest.mark.parametrize("draw", [
    value for module in (curves, faces) for name, value in vars(module).items() if name.startswith("draw_")
])  # fmt: skip
def test_every_drawing_function_has_the_default_style(draw, monkeypatch):
    def fail():
        raise EdgeferError("loaded")

    monkeypatch.setattr(figure, "require_matplotlib", fail)
    with pytest.raises(EdgeferError, match="loaded"):
        draw()

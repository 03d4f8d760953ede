"""Draw the packages of edgefer and their layers from the import contracts in setup.cfg.

    python docs/draw_architecture.py            # write docs/images/architecture.svg
    python docs/draw_architecture.py --check    # exit code 1 if that file is out of date
"""

from __future__ import annotations

import argparse
import configparser
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "docs" / "images" / "architecture.svg"

WIDTH, MARGIN, GAP = 960, 16, 10
BOX_HEIGHT, INNER_HEIGHT, TITLE = 44, 26, 24
FONT = "font-family='system-ui, sans-serif'"
# Packages that stay on the workstation; all others are copied to boards.
WORKSTATION_ONLY = {"fleet", "search", "workstation"}


def read_layers(config: configparser.ConfigParser, contract: str) -> list[list[str]]:
    """Return the layers of an import contract, highest first, each a list of package names."""
    text = config[f"importlinter:contract:{contract}"]["layers"]
    return [[name.strip() for name in line.replace(":", "|").split("|")] for line in text.strip().splitlines()]


def box(
    x: float, y: float, width: float, height: float, label: str, *, fill: str, size: int = 14, dashed: bool = False
) -> str:
    """Return an SVG rectangle with a centered label of font size ``size``."""
    dash = " stroke-dasharray='5 4'" if dashed else ""
    return (
        f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='6' fill='{fill}' stroke='#37474f'{dash}/>"
        f"<text x='{x + width / 2:g}' y='{y + height / 2 + 5:g}' text-anchor='middle' {FONT} font-size='{size}' "
        f"fill='#102027'>{escape(label)}</text>"
    )


def draw_row(names: Sequence[str], y: float, *, x: float, width: float, height: float, fills: dict[str, str]) -> str:
    """Return one layer: boxes of equal width side by side."""
    each_width = (width - GAP * (len(names) - 1)) / len(names)
    boxes = [
        box(x + i * (each_width + GAP), y, each_width, height, name, fill=fills.get(name, "#e0f2f1"))
        for i, name in enumerate(names)
    ]
    return "".join(boxes)


def draw(config: configparser.ConfigParser) -> str:
    """Return the figure as SVG text."""
    layers = read_layers(config, "edgefer")
    rooms = read_layers(config, "workstation")
    modules = config["importlinter:contract:edgefer"]["exhaustive_ignores"].split()
    modules.remove("__main__")
    fills = dict.fromkeys(WORKSTATION_ONLY, "#ffe0b2")
    parts, y, inner = [], MARGIN + 8.0, WIDTH - 2 * MARGIN
    for names in layers:
        height = BOX_HEIGHT
        if "workstation" in names:
            others = [name for name in names if name != "workstation"]
            height = TITLE + len(rooms) * (INNER_HEIGHT + 4) + 6
            side = inner * 0.28
            parts.append(draw_row(others, y, x=MARGIN, width=side, height=height, fills=fills))
            left, room_width = MARGIN + side + GAP, inner - side - GAP
            parts.append(
                f"<rect x='{left:g}' y='{y:g}' width='{room_width:g}' height='{height}' rx='6' fill='#ffe0b2' "
                f"stroke='#37474f'/><text x='{left + room_width / 2:g}' y='{y + 17:g}' text-anchor='middle' {FONT} "
                f"font-size='14' fill='#102027'>workstation: the only importer of TensorFlow</text>"
            )
            for index, row in enumerate(rooms):
                top = y + TITLE + index * (INNER_HEIGHT + 4)
                white = dict.fromkeys(row, "#fff8e1")
                parts.append(draw_row(row, top, x=left + 10, width=room_width - 20, height=INNER_HEIGHT, fills=white))
        else:
            parts.append(draw_row(names, y, x=MARGIN, width=inner, height=height, fills=fills))
        y += height + GAP
    parts.append(box(MARGIN, y, inner, BOX_HEIGHT, "  ".join(modules), fill="#f5f5f5", size=12, dashed=True))
    y += BOX_HEIGHT + GAP + 14
    legend = "Imports point only downwards.  Orange: only on the workstation.  Green: also on boards."
    parts.append(f"<text x='{MARGIN}' y='{y:g}' {FONT} font-size='13' fill='#102027'>{legend}</text>")
    height = y + MARGIN
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:g}' role='img' "
        f"aria-label='Packages of edgefer in layers'><rect width='{WIDTH}' height='{height:g}' fill='#ffffff'/>"
        f"{''.join(parts)}</svg>\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the figure, or compare it with the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only report whether the file is up to date")
    options = parser.parse_args(arguments)
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    figure = draw(config)
    if options.check:
        current = FIGURE.exists() and FIGURE.read_text(encoding="utf-8") == figure
        print("up to date" if current else f"out of date: python docs/{Path(__file__).name}")
        return 0 if current else 1
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    FIGURE.write_text(figure, encoding="utf-8")
    print(FIGURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""HTML elements with automatic escaping: only text of type Html passes through unchanged.

    element("td", name, class_="number")            # escapes name, whatever a record contains
    table(DataTable("Latency", ["model", "p50"], rows))
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from edgefer.escaping import printable
from edgefer.report.sections.blocks import Cell, CellContent, DataTable

__all__ = ["Html", "element", "figure", "joined", "legend_mark", "table"]

VOID = ("br", "circle", "line", "meta", "path", "polyline", "rect")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """Build an element.

    Args:
        name: tag name.
        children: content; text is escaped, None is skipped.
        attributes: attributes, with underscores for hyphens and a trailing underscore where the name is a Python
            keyword: ``class_``, ``stroke_width``. None is skipped.
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Html(f"<{name}{text}>" if name in ("br", "meta") else f"<{name}{text}/>")
    return Html(f"<{name}{text}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Html:
    """Concatenate children, escaping plain text and skipping None."""
    present = [child for child in children if child is not None]
    return Html("".join(child if isinstance(child, Html) else _escaped(child) for child in present))


def table(data: DataTable) -> Html:
    """Build a table in a region that scrolls sideways, with the mouse and with the keyboard."""
    if data.is_matrix:
        corner, *names = data.headers
        header_cells = [element("td", corner), *(element("th", name, scope="col") for name in names)]
        class_: str | None = "matrix"
    else:
        header_cells = [
            element("th", header, scope="col", class_=_alignment(index, data.text_columns))
            for index, header in enumerate(data.headers)
        ]
        # Text wraps. A row of numbers must not wrap, because then it could not be compared with the next row.
        class_ = "pairs" if data.text_columns >= len(data.headers) else None
    rows = [_row(row, data.text_columns) for row in data.rows]
    head, body = element("thead", element("tr", *header_cells)), element("tbody", *rows)
    content = element("table", element("caption", data.caption), head, body, class_=class_)
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=data.caption)


def figure(drawing: Html, caption: object) -> Html:
    """Build a figure: a drawing with its caption below."""
    return element("figure", element("div", drawing, class_="drawing"), element("figcaption", caption))


def legend_mark(class_: str, text: str) -> Html:
    """Build an entry of a legend: a line of that class and its meaning."""
    line = element("line", x1="0", y1="5", x2="26", y2="5", class_=class_)
    return element("span", element("svg", line, width="26", height="10", aria_hidden="true"), " ", text, class_="key")


def _escaped(value: object) -> str:
    return html.escape(printable(str(value)))


def _row(row: Sequence[CellContent], text_columns: int) -> Html:
    first, *others = row
    cells = [element("th", _content(first), scope="row")]
    for index, content in enumerate(others, 1):
        shade = content.shade if isinstance(content, Cell) else None
        if shade is None:
            cells.append(element("td", _content(content), class_=_alignment(index, text_columns)))
        else:
            direction = "down" if shade < 0 else "up"
            style = f"--share:{100 * abs(shade):.0f}%"
            cells.append(element("td", _content(content), class_=f"heat {direction}", style=style))
    return element("tr", *cells)


def _content(content: CellContent) -> object:
    if not isinstance(content, Cell):
        return "-" if content is None else content
    if content.bar is not None:
        filled = 100 * min(1.0, max(0.0, content.bar.share))
        line = element("i", style=f"width:{filled:.1f}%") if filled else None
        return element("span", content.text, line, class_=f"bar {content.bar.series}".rstrip())
    if content.style in ("strong", "code"):
        return element(content.style, content.text)
    return element("span", content.text, class_=content.style) if content.style else content.text


def _alignment(index: int, text_columns: int) -> str | None:
    return None if index < text_columns else "number"

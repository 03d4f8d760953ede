"""HTML that is safe by construction: plain text is escaped wherever it is put, and only Html goes through as it is.

    element("td", name, class_="number")            # name is escaped, whatever a record has in it
    table("Verdicts", ["model", "points"], rows)
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from edgefer.report.tables import Table

__all__ = [
    "Html", "bar", "choosable", "element", "figure", "joined", "legend_mark", "number", "scrolling", "section",
    "signed", "table", "tabulated",
]  # fmt: skip

# Fewer of them are seen at a glance.
LEAST_CHOICES = 4
VOID = ("br", "circle", "line", "meta", "path", "polyline", "rect")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """An element; None among the children or attributes is left out, ``class_`` and ``stroke_width`` are as in HTML."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Html(f"<{name}{told}>" if name in ("br", "meta") else f"<{name}{told}/>")
    return Html(f"<{name}{told}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Html:
    """The children one after the other; plain ones are escaped."""
    known = [each for each in children if each is not None]
    return Html("".join(each if isinstance(each, Html) else html.escape(str(each)) for each in known))


def section(name: str, title: str, *children: object) -> Html:
    """A part of the page that its navigation leads to."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *children, id=name, aria_labelledby=f"{name}-title")


def table(
    caption: str, headers: Sequence[object], rows: Iterable[Sequence[object]], *, text: int = 1
) -> Html:
    """A table that scrolls sideways by itself; the first cell of a row is its header, None is a dash.

    Args:
        text: how many columns from the left are text; the others are numbers.
    """
    head = element("tr", *(element("th", each, scope="col", class_=_kind(i, text)) for i, each in enumerate(headers)))
    body = [
        element("tr", element("th", row[0], scope="row"), *(_cell(i, each, text) for i, each in enumerate(row[1:], 1)))
        for row in rows
    ]
    # Names and values wrap; a row of numbers that wraps cannot be compared with the next one.
    return scrolling(caption, head, body, class_="pairs" if text >= len(headers) else None)


def scrolling(caption: str, head: Html, rows: Sequence[Html], *, class_: str | None = None) -> Html:
    """A table of finished rows, in a region that is scrolled by keyboard too."""
    content = (element("caption", caption), element("thead", head), element("tbody", *rows))
    whole = element("table", *content, class_=class_)
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def tabulated(caption: str, whole: Table) -> list[Html]:
    """A Table of report/tables.py, and its legend under it."""
    legend = [element("p", whole.legend)] if whole.legend else []
    return [table(caption, whole.headers, whole.rows, text=whole.names), *legend]


def choosable(
    name: str, label: str, parts: Sequence[tuple[str, object]], *, shown: int | None = None
) -> list[Html]:
    """Parts to unfold under their titles, ``shown`` unfolded; choose.js lets one be picked where there are several.

    Without JavaScript they are a list, of which each can be unfolded.
    """
    details = [
        element("details", element("summary", title), content, open="open" if index == shown else None)
        for index, (title, content) in enumerate(parts)
    ]
    if len(details) < LEAST_CHOICES:
        return details
    return [element("div", *details, class_="choosable", id=f"{name}-parts", data_label=label)]


def figure(drawing: Html, caption: object) -> Html:
    """A drawing with what it shows under it."""
    return element("figure", element("div", drawing, class_="drawing"), element("figcaption", caption))


def bar(share: float, text: str, *, class_: str = "bar") -> Html:
    """A number with a bar under it that fills ``share`` of its cell."""
    filled = 100 * min(1.0, max(0.0, share))
    return element("span", text, element("i", style=f"width:{filled:.1f}%") if filled else None, class_=class_)


def legend_mark(class_: str, text: str) -> Html:
    """An entry of a legend: a line of that class, and what it stands for."""
    line = element("line", x1="0", y1="5", x2="26", y2="5", class_=class_)
    return element("span", element("svg", line, width="26", height="10", aria_hidden="true"), " ", text, class_="key")


def number(value: float | None, digits: int = 2) -> str | None:
    """A number with separators and so many digits; None stays None."""
    return None if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str | None:
    """The same with its sign; what rounds to nothing has a plus."""
    # Zero is added because -0.0 + 0.0 is 0.0.
    return None if value is None else f"{round(value, digits) + 0.0:+.{digits}f}"


def _kind(index: int, text: int) -> str | None:
    return None if index < text else "number"


def _cell(index: int, content: object, text: int) -> Html:
    return element("td", "-" if content is None else content, class_=_kind(index, text))

"""Render a report as an HTML page, with style and scripts inline.

    html = render_page(build_report(data))
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterable, Mapping

from edgefer.report.html.charts import histogram, line_chart
from edgefer.report.html.markup import Html, element, figure, joined, legend_mark, table
from edgefer.report.html.search_plots import dot_plot, parallel_plot
from edgefer.report.sections.blocks import (
    Block,
    BulletList,
    Choice,
    Code,
    Columns,
    DataTable,
    Details,
    DotPlot,
    Drawing,
    Heading,
    Histogram,
    LineChart,
    Paragraph,
    ParallelPlot,
    ScatterPlot,
    Section,
)
from edgefer.report.sections.report import FOOTER, Report

__all__ = ["render_page"]

# With fewer parts a list is easier to use than a selection.
MIN_CHOICES = 4
# Each script runs only on a page that contains its element.
SCRIPTS = {"plot.js": '<div id="plot"', "choose.js": 'class="choosable"'}
# The policy blocks every request, even from malicious text that was not escaped.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def render_page(report: Report) -> str:
    """Render a report as one HTML document; the same report gives the same bytes."""
    content = joined(_section(section) for _, section in report.sections)
    links = [
        element("li", element("a", title, href=f"#{section.name}")) for title, section in report.sections
    ]
    body = element(
        "body",
        element("a", "Skip to the results", href="#main", class_="skip"),
        element("header", element("h1", report.title), element("p", report.introduction)),
        element("nav", element("ul", *links), aria_label="Sections of the report"),
        element("main", content, _missing(report), id="main"),
        element("footer", element("p", FOOTER)),
        *(element("script", _resource(script)) for script, marker in SCRIPTS.items() if marker in content),
    )
    return f"<!doctype html>\n{element('html', _head(report.title), body, lang='en')}\n"


def _head(title: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", _resource("page.css")),
    )


def _section(section: Section) -> Html:
    heading = element("h2", section.title, id=f"{section.name}-title")
    return element(
        "section", heading, _blocks(section.blocks), id=section.name, aria_labelledby=f"{section.name}-title"
    )


def _missing(report: Report) -> Html | None:
    if not report.missing:
        return None
    rows = [element("li", f"{title}: ", element("code", command)) for title, command in report.missing.items()]
    heading = element("h2", "Not in this report", id="missing-title")
    return element("section", heading, element("ul", *rows), id="missing", aria_labelledby="missing-title")


def _blocks(blocks: Iterable[Block]) -> Html:
    return joined(_block(block) for block in blocks)


def _block(block: Block) -> Html:
    if isinstance(block, Paragraph):
        return element("p", block.text)
    if isinstance(block, Heading):
        return element("h3", block.text)
    if isinstance(block, BulletList):
        items = (element("li", item) for item in block.items)
        return element("ul", *items, class_="warnings" if block.is_warning else None)
    if isinstance(block, Code):
        return element("pre", element("code", block.text), tabindex="0")
    if isinstance(block, DataTable):
        return table(block)
    if isinstance(block, Columns):
        return element("div", _blocks(block.blocks), class_="charts")
    if isinstance(block, Details):
        return _details(block)
    if isinstance(block, Choice):
        return _choice(block)
    if isinstance(block, LineChart):
        return _line_chart(block)
    if isinstance(block, Histogram):
        return figure(histogram(block.samples, marks=block.marks, label=block.label), block.caption)
    if isinstance(block, DotPlot):
        return figure(dot_plot(block), block.caption)
    if isinstance(block, ParallelPlot):
        return figure(parallel_plot(block), block.caption)
    if isinstance(block, Drawing):
        return figure(Html(block.svg), block.caption)
    return _scatter_plot(block)


def _details(block: Details, *, is_open: bool = False) -> Html:
    summary = element("summary", block.title)
    return element("details", summary, _blocks(block.blocks), open="open" if is_open else None)


def _choice(block: Choice) -> Html:
    """Build parts that unfold; choose.js adds a selection, and without JavaScript every part can be unfolded."""
    parts = [_details(part, is_open=index == block.selected) for index, part in enumerate(block.parts)]
    if len(parts) < MIN_CHOICES:
        return joined(parts)
    return element("div", *parts, class_="choosable", id=f"{block.name}-parts", data_label=block.label)


def _line_chart(block: LineChart) -> Html:
    drawing = line_chart(block.series, label=block.label, marked=block.marked, positions=block.positions)
    keys = [legend_mark(f"series series{index}", name) for index, name in enumerate(block.series)]
    if block.marked_name:
        keys.append(legend_mark("marked", block.marked_name))
    return figure(drawing, joined([block.caption, *(keys if len(keys) > 1 else [])]))


def _scatter_plot(block: ScatterPlot) -> Html:
    plot = element("div", id="plot", class_="drawing")
    tooltip = element("div", id="tooltip", role="tooltip", hidden="hidden")
    keys = element("div", id="keys", class_="keys", aria_hidden="true")
    drawing = element("figure", plot, tooltip, keys, element("figcaption", block.caption))
    note = element("noscript", element("p", "The plot needs JavaScript; the table contains all of its points."))
    form = element(
        "form",
        _select("axis", "Horizontal axis", block.axes),
        _select("device", "Device", {"": "all devices", **{device: device for device in block.devices}}),
        _select("images", "Accuracy on", {images: images for images in block.images}),
        class_="choices",
        # plot.js shows the form; without JavaScript it has no effect.
        hidden="hidden",
        id="choices",
    )
    data = element("script", _embedded(block), type="application/json", id="points")
    return joined([form, drawing, note, data])


def _select(name: str, title: str, options: Mapping[str, str]) -> Html:
    choices = [element("option", text, value=value) for value, text in options.items()]
    return element("label", element("span", title), element("select", *choices, id=f"choose-{name}"))


def _embedded(block: ScatterPlot) -> Html:
    """Return the JSON that plot.js reads, in which no text can end the script element."""
    text = json.dumps({"points": list(block.points), "axes": dict(block.axes)}, ensure_ascii=True, sort_keys=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(text)


def _resource(name: str) -> Html:
    return Html(importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))

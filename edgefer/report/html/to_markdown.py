"""A page as Markdown: the same parts, made from the same HTML, so that neither can say more than the other.

    as_markdown(page(evidence).html)

What only eyes can read, such as plots, the navigation and colours, is left out; their numbers stand in tables anyway.
"""

from __future__ import annotations

import textwrap
from html.parser import HTMLParser

from edgefer.report.tables import DOCUMENT_WIDTH, markdown_lines, safe

__all__ = ["as_markdown"]

LEFT_OUT = ("head", "nav", "script", "style", "svg", "form", "noscript", "figure")
HEADINGS = {"h1": "# ", "h2": "## ", "h3": "### ", "summary": "#### "}
BLOCKS = (*HEADINGS, "p", "li", "caption", "figcaption", "pre")
VOID = ("br", "meta", "circle", "line", "path", "polyline", "rect")


def as_markdown(html: str) -> str:
    """GitHub-flavoured Markdown of a page that page() made; ends with a newline."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "\n\n".join(reader.parts) + "\n"


class _Reader(HTMLParser):
    """Gathers parts of Markdown; what stands in a table goes to its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._skipped = 0
        self._text = ""
        self._rows: list[list[str]] = []
        self._names = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; within what is left out only the depth counts."""
        if tag in VOID:
            return
        if self._skipped or tag in LEFT_OUT or ("class", "skip") in attrs:
            self._skipped += 1
        elif tag == "table":
            self._rows, self._names = [], 0
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._text = ""
            # The first row tells which columns are text.
            self._names += len(self._rows) == 1 and ("class", "number") not in attrs
        elif tag in BLOCKS:
            self._text = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing: no element without content has text."""

    def handle_data(self, data: str) -> None:
        """Keep text."""
        if not self._skipped:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and put down what it holds."""
        if tag in VOID:
            return
        if self._skipped:
            self._skipped -= 1
        elif tag in ("th", "td"):
            self._rows[-1].append(safe(" ".join(self._text.split())))
        elif tag == "table":
            self._put("\n".join(markdown_lines(self._rows[0], self._rows[1:], names=self._names)))
        elif tag in BLOCKS:
            self._block(tag)

    def _block(self, tag: str) -> None:
        if tag == "pre":
            # Longer than any run of backquotes inside, so that nothing in it can end it.
            fence = "`" * max(3, 1 + max(map(len, _runs(self._text)), default=0))
            self._put(f"{fence}\n{self._text}\n{fence}")
            return
        words = safe(" ".join(self._text.split()))
        if tag in HEADINGS:
            self._put(f"{HEADINGS[tag]}{words}")
        elif tag == "li":
            self._put(f"- {words}")
            is_list = len(self.parts) > 1 and self.parts[-2].startswith("- ")
            self.parts[-2:] = ["\n".join(self.parts[-2:])] if is_list else self.parts[-2:]
        elif words:
            self._put(textwrap.fill(words, DOCUMENT_WIDTH, break_long_words=False, break_on_hyphens=False))

    def _put(self, part: str) -> None:
        self.parts.append(part)
        self._text = ""


def _runs(text: str) -> list[str]:
    """The runs of backquotes in ``text``."""
    return [run for run in "".join(each if each == "`" else " " for each in text).split() if run]

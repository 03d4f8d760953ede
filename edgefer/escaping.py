"""Escape text from files, boards and users before it reaches a terminal or a Markdown document.

    printable(name, kept="")                        # one line, without characters that a terminal acts on
    printable(message)                              # the same, with its line breaks
    escape_markdown(label)                          # shows the characters of the text and no markup

Labels, file names, result records and replies of boards are untrusted text: they can contain escape sequences,
characters that reverse the direction of a line, or HTML. The HTML report escapes text in report/html/markup.py.
"""

from __future__ import annotations

import unicodedata

__all__ = ["escape_markdown", "printable"]

# Joiners belong to emoji and to several scripts. The other format characters reverse or hide text.
JOINERS = "\u200c\u200d"
NOT_PRINTABLE = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
# Characters that start markup or HTML. An underscore within a word does not, and names have many of them.
MARKDOWN = str.maketrans({**{character: f"\\{character}" for character in "\\*`[]~#"}, "<": "&lt;", "&": "&amp;"})


def printable(text: str, *, kept: str = "\n\t") -> str:
    """Replace characters that a terminal acts on, such as control characters, by escapes such as ``\\x1b``.

    Args:
        text: any text; bytes of a file name that are not UTF-8 become ``\\xNN``.
        kept: control characters that remain; empty for text within a line.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in kept or not _acts_on_terminal(character) else _escape(character) for character in text
    )


def escape_markdown(text: str) -> str:
    """Escape text for a line of Markdown: no character of it starts markup, HTML or a new line.

    A cell of a table also needs escaped vertical bars, which report.tables adds.
    """
    return printable(" ".join(text.split()), kept="").translate(MARKDOWN)


def _acts_on_terminal(character: str) -> bool:
    return not character.isprintable() and character not in JOINERS and unicodedata.category(character) in NOT_PRINTABLE


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")

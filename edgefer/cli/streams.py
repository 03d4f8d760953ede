"""Write text to stdout and stderr in any encoding.

    prepare_streams()                               # once, before the first output
    write(text)                                     # for people: without characters that a terminal acts on
    write(f"skipped: {name}", to_stderr=True)
    write_json(text)                                # for programs
    csv.writer(DataStream())                        # for programs; escaped if stdout is a terminal

A character that a stream cannot encode is replaced by ASCII, so that it does not end a command in the middle of its
output. A file name that is not UTF-8 keeps its bytes in data, so that another program can open the file.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

from edgefer.escaping import printable

__all__ = ["DataStream", "discard_unwritable", "prepare_streams", "write", "write_json"]

ERROR_HANDLER = "edgefer"
# Characters that edgefer itself prints: the rule of a table, a shortened cell, a range.
ASCII = {"\u2500": "-", "\u2026": "...", "\u2192": "->"}


def prepare_streams() -> None:
    """Replace the characters that the encodings of stdout and stderr lack."""
    codecs.register_error(ERROR_HANDLER, _replace_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERROR_HANDLER)


def discard_unwritable() -> None:
    """Discard what stdout and stderr could not write; Python would try again at exit and change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def write(text: str, *, to_stderr: bool = False) -> None:
    """Write lines for people."""
    _write(f"{printable(text)}\n", to_stderr=to_stderr)


def write_json(text: str) -> None:
    """Write JSON from json.dumps(), which escapes every character that is not ASCII."""
    # DEL is the only control character that JSON need not escape.
    _write(text.replace("\x7f", "\\u007f") + "\n", to_stderr=False)


class DataStream:
    """A file object for the rows of csv.writer() on stdout."""

    def write(self, row: str) -> None:
        """Write one row; control characters are removed for a terminal."""
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        _write(f"{printable(row[:-1], kept='')}\n" if is_terminal else row, to_stderr=False)


def _write(text: str, *, to_stderr: bool) -> None:
    # click.echo() replaces an ASCII stream by one in UTF-8, whatever the terminal displays.
    stream = sys.stderr if to_stderr else sys.stdout
    if stream is not None:  # closed by the shell or a service manager
        stream.write(text)
        stream.flush()


def _replace_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    replaced = b"".join(map(_replace_character, error.object[error.start : error.end]))
    return replaced, error.end


def _replace_character(character: str) -> bytes:
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return bytes([ord(character) - 0xDC00])
    return ASCII[character].encode() if character in ASCII else character.encode("ascii", "backslashreplace")

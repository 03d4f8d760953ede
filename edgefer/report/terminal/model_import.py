"""Render the record of an import as text for an 80-column terminal.

    import_text(record)
"""

from __future__ import annotations

import textwrap

from edgefer.escaping import printable
from edgefer.results.model_import import ModelImport
from edgefer.text_table import WIDTH, percent, table

__all__ = ["import_text"]


def import_text(record: ModelImport) -> str:
    """Render the inputs that were tried, the choice, and the next command."""
    lines = []
    labels = printable(", ".join(record.labels), kept="")
    if record.tried:
        rows = [
            [tried.input, percent(tried.accuracy), "taken" if tried.input == record.described_input else ""]
            for tried in record.tried
        ]
        lines += [table([f"input, on {record.faces:,} Training faces", "right", ""], rows), ""]
    lines += [
        f"file: {printable(record.file, kept='')}, {record.kind}",
        f"input: {record.described_input}",
        *textwrap.wrap(f"labels (from {record.labels_from}): {labels}", WIDTH, subsequent_indent="  "),
        f"output: {record.output}",
        *(line for note in record.notes for line in textwrap.wrap(printable(note), WIDTH)),
        "",
        f"wrote {printable(record.path, kept='')}",
    ]
    return "\n".join(lines)

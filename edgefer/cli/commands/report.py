"""edgefer report"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH
from edgefer.errors import DataError, UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.report.html.page_data import ReportData


@click.command(short_help="Set results side by side, as tables, a page or a model card.")
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...", type=PATH)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print all that a page says, as Markdown.")
@click.option("--into", type=PATH, metavar="FILE", help="Put the tables between two marker lines of a document.")
@click.option("--section", metavar="NAME", help="Which markers, where the document has several pairs.")
@click.option("--html", type=PATH, metavar="FILE", help="Write one page with plots, which needs no network.")
@click.option("--card", type=PATH, metavar="FILE", help="Write the model card of the one .tflite among RESULTS.")
@click.option("--svg", type=PATH, metavar="FILE", help="Draw the trials of a search, for --into too.")
def command(
    results: tuple[Path, ...], as_markdown: bool, into: Path | None, section: str | None, html: Path | None,
    card: Path | None, svg: Path | None,
) -> Result:  # fmt: skip
    """Set models side by side, from the JSON files that other commands wrote with --out.

    RESULTS are such files, folders of them, run folders and .tflite files. Models are told apart by the SHA-256 of
    their flatbuffer; other images, devices, runtimes or numbers of threads stand in a table of their own. What
    quantizing has cost is a table too.

    \b
    Example:
        edgefer report small.json small-bench.json
        edgefer report benchmarks/results/raspberry_pi_4 --into README.md
        edgefer report runs/latest small-bench.json --html report.html
        edgefer report small-int8.tflite small.json pi4.json --card small-int8.md
    """
    from edgefer.report.html.loading import read_report_data

    _check(as_markdown, into, section, html, card)
    evidence = read_report_data(results)
    if html is not None:
        return _page(evidence, html)
    if card is not None:
        return _card(evidence, card)
    return _tables(evidence, as_markdown=as_markdown, into=into, section=section, svg=svg)


def _check(as_markdown: bool, into: Path | None, section: str | None, html: Path | None, card: Path | None) -> None:
    given = {"--html": html, "--card": card, "--markdown": as_markdown or None, "--into": into}
    asked = [name for name, value in given.items() if value is not None]
    if len(asked) > 1:
        hint = f"leave out {asked[1]}"
        raise UsageError(f"{asked[0]} with {asked[1]}", why="one command gives one of them", hint=hint)
    if section and not into:
        raise UsageError("--section without --into", why="sections are parts of a document", hint="--into README.md")


def _tables(
    evidence: ReportData, *, as_markdown: bool, into: Path | None, section: str | None, svg: Path | None
) -> Result:
    from edgefer.report.comparison import compare, to_json
    from edgefer.report.document import markdown, text
    from edgefer.report.html.page import page
    from edgefer.report.html.to_markdown import as_markdown as written

    found = evidence.results
    trained = [each.evaluation for each in evidence.trainings if each.evaluation]
    is_grouped = found.has_groups or (trained and not found.peers)
    groups = compare((*found.evaluations, *trained), found.measurements) if is_grouped else ()
    tables = found.tables()
    others = {name: [dataclasses.asdict(each) for each in getattr(found, name)] for name in _PLAIN}
    record = {**to_json(groups), **others, "claims": [each.to_json() for each in found.claims]}
    drawing = _drawing(evidence, svg, into)
    if into is None:
        shown = written(page(evidence).html).rstrip("\n") if as_markdown else None
        return Result(record, shown or _joined(text(groups), *(each.text() for each in tables)))
    _put(_joined(drawing, markdown(groups), *(each.markdown() for each in tables)), into, section)
    rows = sum(len(group.rows) for group in groups) + sum(len(each.rows) for each in tables)
    return Result(record, f"{into}: {rows} row{'s' if rows > 1 else ''} written")


_PLAIN = ("costs", "arm64", "trials", "peers")


def _drawing(evidence: ReportData, svg: Path | None, into: Path | None) -> str:
    """Write the drawing; the Markdown that shows it in the document ``into``."""
    from edgefer import files
    from edgefer.report.html.trials import trials_svg

    if svg is None:
        return ""
    if not evidence.results.trials:
        raise UsageError("--svg without trials", why="it draws a record of kind 'search'", hint="leave out --svg")
    files.write_text(svg, f"{trials_svg(evidence.results.trials)}\n")
    place = os.path.relpath(svg, into.parent if into else None).replace(os.sep, "/")
    return f"![accuracy against size of the models that were tried]({place})"


def _page(evidence: ReportData, file: Path) -> Result:
    from edgefer import files
    from edgefer.report.html.page import page
    from edgefer.results import schema

    made = page(evidence)
    files.write_text(file, made.html)
    size = len(made.html.encode())
    record = {"file": str(file), "bytes": size, "sections": list(made.sections), "missing": made.missing}
    missing = [f"no {title.lower()}: {command}" for title, command in made.missing.items()]
    text = "\n".join([f"{file}: {len(made.sections)} parts, {size / 1024:,.0f} KiB", *missing])
    return Result({**schema.header("report_page", 1), **record}, text)


def _card(evidence: ReportData, file: Path) -> Result:
    from edgefer import files
    from edgefer.report.model_card import ModelCardData, card
    from edgefer.results import schema

    if len(evidence.models) != 1:
        count = f"{len(evidence.models)} .tflite files" if evidence.models else "no .tflite"
        raise UsageError(f"--card of {count}", why="a card is of one model", hint="name one .tflite, and its results")
    model = evidence.models[0]
    known = ModelCardData.of_file(model.artifact, model.file_bytes, evidence.results, evidence.quantizations)
    files.write_text(file, card(known))
    told = {"evaluations": len(known.evaluations), "timings": len(known.timings), "counts": len(known.counts)}
    record: dict[str, Any] = {"file": str(file), "sha256": known.sha256, **told}
    said = [f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in told.items()]
    text = f"{file}: {', '.join(said)}"
    missing = "\nno verdict: edgefer quantize RUN --int8 --out int8.json" if known.verdict is None else ""
    return Result({**schema.header("model_card", 1), **record}, f"{text}{missing}")


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _put(content: str, document: Path, section: str | None) -> None:
    from edgefer import files
    from edgefer.report.document import replace_section

    try:
        # Not read_text(): that would change the line ends of a document written on Windows.
        before = document.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {document}", why=str(error), hint="--into a text file that exists") from error
    try:
        after = replace_section(before, content, name=section)
    except UsageError as error:
        raise UsageError(f"{document}: {error.what}", why=error.why, hint=error.hint) from error
    files.write_text(document, after)

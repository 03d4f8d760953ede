"""Compare results in tables, an HTML page or a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH
from edgefer.cli.outputs import OUTPUT_FILE
from edgefer.data.naming import counted
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.report.report_data import ReportData


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...", type=PATH)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the content of the HTML page as Markdown.")
@click.option(
    "--into", type=OUTPUT_FILE, metavar="FILE", help="Write the tables between two marker lines of a document."
)
@click.option("--section", metavar="NAME", help="Name of the markers, for a document with several pairs.")
@click.option("--html", type=OUTPUT_FILE, metavar="FILE", help="Write a self-contained HTML page with plots.")
@click.option("--card", type=OUTPUT_FILE, metavar="FILE", help="Write a model card for the one .tflite in RESULTS.")
def command(
    results: tuple[Path, ...], as_markdown: bool, into: Path | None, section: str | None, html: Path | None,
    card: Path | None,
) -> Result:  # fmt: skip
    """Compare models by the JSON files that other commands write with --out.

    RESULTS are result files, folders of them, run folders and .tflite files. Models are identified by the SHA-256 of
    their flatbuffer. Results for other images, devices, runtimes or numbers of threads get a separate table. Another
    table shows the cost of quantization.

    \b
    Example:
        edgefer report small.json small-bench.json
        edgefer report benchmarks/results/raspberry_pi_4 --into README.md
        edgefer report runs/latest small-bench.json --html report.html
        edgefer report small-int8.tflite small.json pi4.json --card small-int8.md
    """
    from edgefer.report.report_data import read_report_data

    _check(as_markdown, into, section, html, card)
    data = read_report_data(results)
    if html is not None:
        return _page(data, html)
    if card is not None:
        return _card(data, card)
    return _tables(data, as_markdown=as_markdown, into=into, section=section)


def _check(as_markdown: bool, into: Path | None, section: str | None, html: Path | None, card: Path | None) -> None:
    options = {"--html": html, "--card": card, "--markdown": as_markdown or None, "--into": into}
    outputs = [name for name, value in options.items() if value is not None]
    if len(outputs) > 1:
        why = "a report has one kind of output"
        raise UsageError(f"{outputs[0]} with {outputs[1]}", why=why, hint=f"omit {outputs[1]}")
    if section and not into:
        why = "--section names a pair of markers in a document"
        raise UsageError("--section without --into", why=why, hint="add --into README.md")


def _tables(data: ReportData, *, as_markdown: bool, into: Path | None, section: str | None) -> Result:
    from edgefer.report.comparison import to_json
    from edgefer.report.document import markdown, text, update_document
    from edgefer.report.markdown import to_markdown
    from edgefer.report.quantization_costs import costs_to_json
    from edgefer.report.sections.report import build_report

    tables, page = data.results.tables(), build_report(data) if as_markdown else None
    is_empty = not (tables if page is None else page.sections)
    # Without evaluations and measurements, result_groups is an error.
    groups = data.result_groups if data.has_results or is_empty else ()
    record = {**to_json(groups), "costs": costs_to_json(data.results.quantizations)}
    if into is not None:
        parts = [*([markdown(groups)] if groups else []), *(table.markdown() for table in tables)]
        update_document(into, "\n\n".join(parts), section=section)
        rows = sum(len(group.rows) for group in groups) + sum(len(table.rows) for table in tables)
        return Result(record, f"{into}: {counted(rows, 'row')} written")
    if page is not None:
        return Result(record, to_markdown(page).rstrip("\n"))
    paragraphs = [*([text(groups)] if groups else []), *(table.text() for table in tables)]
    return Result(record, "\n\n".join(paragraphs))


def _page(data: ReportData, file: Path) -> Result:
    from edgefer import files
    from edgefer.report.html.page import render_page
    from edgefer.report.sections.report import build_report
    from edgefer.results import schema

    report = build_report(data)
    html = render_page(report)
    files.write_text(file, html)
    size, names = len(html.encode()), [section.name for _, section in report.sections]
    record = {"file": str(file), "bytes": size, "sections": names, "missing": dict(report.missing)}
    missing = [f"no {title.lower()}: {command}" for title, command in report.missing.items()]
    text = "\n".join([f"{file}: {len(names)} sections, {size / 1024:,.0f} KiB", *missing])
    return Result({**schema.header("report_page", 1), **record}, text)


def _card(data: ReportData, file: Path) -> Result:
    from edgefer import files
    from edgefer.report.model_card import card
    from edgefer.report.model_card_data import ModelCardData
    from edgefer.results import schema

    if len(data.models) != 1:
        count = f"{len(data.models)} .tflite files" if data.models else "no .tflite"
        hint = "name one .tflite and its results"
        raise UsageError(f"--card with {count}", why="a card describes one model", hint=hint)
    model = data.models[0]
    facts = ModelCardData.of_file(model.artifact, model.file_bytes, data.results, data.quantizations)
    files.write_text(file, card(facts))
    counts = {"evaluations": len(facts.evaluations), "timings": len(facts.timings)}
    record: dict[str, Any] = {"file": str(file), "sha256": facts.sha256, **counts}
    summary = [f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in counts.items()]
    text = f"{file}: {', '.join(summary)}"
    hint = "\nno quantization record: edgefer quantize RUN --int8 --out int8.json"
    missing = hint if facts.comparison is None else ""
    return Result({**schema.header("model_card", 1), **record}, f"{text}{missing}")

"""edgefer report"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from edgefer.commands._options import PATH
from edgefer.errors import DataError, UsageError
from edgefer.result import Result


@click.command(short_help="Set results side by side in one table.")
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...", type=PATH)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table.")
@click.option("--into", type=PATH, metavar="FILE", help="Put the Markdown between two marker lines of a document.")
@click.option("--section", metavar="NAME", help="Which markers, where the document has several pairs.")
@click.option("--html", type=PATH, metavar="FILE", help="Write one page with plots, which needs no network.")
def command(
    results: tuple[Path, ...], as_markdown: bool, into: Path | None, section: str | None, html: Path | None
) -> Result:
    """Set models side by side, from the JSON files that other commands wrote with --out.

    RESULTS are files of evaluate, bench, quantize, verify and train, or folders of them. Models are told apart by the
    SHA-256 of their flatbuffer; other images, devices, runtimes or numbers of threads stand in a table of their own.
    What quantizing has cost is a last table. For --html they may be run folders and .tflite files too.

    \b
    Example:
        edgefer report small.json small-bench.json
        edgefer report benchmarks/results/raspberry_pi_4 --into README.md
        edgefer report runs/latest small-bench.json --html report.html
    """
    if html is not None:
        return _page(results, html, as_markdown=as_markdown, into=into)
    from edgefer.report.comparison import compare, to_json
    from edgefer.report.markdown import arm64_markdown, claims_markdown, costs_markdown, costs_text, markdown, text
    from edgefer.report.results import read_results

    if section and not into:
        raise UsageError("--section without --into", why="sections are parts of a document", fix="--into README.md")
    found = read_results(results)
    groups = compare(found.evaluations, found.measurements) if found.has_groups else ()
    others = {name: [dataclasses.asdict(each) for each in getattr(found, name)] for name in ("costs", "arm64")}
    tables = [arm64_markdown(found), claims_markdown(found)]
    record = {**to_json(groups), **others, "claims": [each.to_json() for each in found.claims]}
    document = _joined(markdown(groups), costs_markdown(found), *tables)
    if into is None:
        shown = _joined(text(groups), costs_text(found), *tables)
        return Result(record, document if as_markdown else shown)
    _put(document, into, section)
    rows = sum(len(group.rows) for group in groups) + len(found.costs) + len(found.arm64) + len(found.claims)
    return Result(record, f"{into}: {rows} row{'s' if rows > 1 else ''} written")


def _page(paths: tuple[Path, ...], file: Path, *, as_markdown: bool, into: Path | None) -> Result:
    from edgefer import atomic, records
    from edgefer.report.html.page import page
    from edgefer.report.html.reading import read_evidence

    if as_markdown or into is not None:
        other = "--markdown" if as_markdown else "--into"
        raise UsageError(f"--html with {other}", why="a page is no Markdown", fix=f"leave out {other}")
    made = page(read_evidence(paths))
    atomic.write_text(file, made.html)
    size = len(made.html.encode())
    record = {"file": str(file), "bytes": size, "sections": list(made.sections), "missing": made.missing}
    missing = [f"no {title.lower()}: {command}" for title, command in made.missing.items()]
    text = "\n".join([f"{file}: {len(made.sections)} parts, {size / 1024:,.0f} KiB", *missing])
    return Result({**records.stamp("report_page", 1), **record}, text)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _put(content: str, document: Path, section: str | None) -> None:
    from edgefer import atomic
    from edgefer.report.markdown import replace_section

    try:
        # Not read_text(): that would change the line ends of a document written on Windows.
        before = document.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {document}", why=str(error), fix="--into a text file that exists") from error
    try:
        after = replace_section(before, content, name=section)
    except UsageError as error:
        raise UsageError(f"{document}: {error.what}", why=error.why, fix=error.fix) from error
    atomic.write_text(document, after)

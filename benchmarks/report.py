"""Render the project's tables, model cards and search plot from benchmarks/results.

    python benchmarks/report.py                     # what ``make tables`` runs

- Each folder of results, systems.json, search.json, peers.json, bit-exact.json, bring-your-own.json,
  latency-model.json, search-nano-pi4.json, teachers.json, training.json and transfer.json fill the sections of their
  names, in every document that has such a section: README.md, benchmarks/README.md and docs/. The quantizations among
  the results of the shipped models also fill a section "quantization".
- Each shipped model gets a card from all results of its flatbuffer, with its instructions on emulated boards.
- bounded-memory.json fills the section of its name.
- benchmarks/boards/*.json fill the section "boards" in benchmarks/boards/README.md.
- The search is also drawn, as benchmarks/search.svg, and the models of peers.json as docs/images/models.svg.

A result that does not exist yet leaves its section unchanged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ledgers import READERS
from ledgers.arm64 import Arm64, instructions_table, parity_table
from ledgers.bit_exact import bit_exact_table
from ledgers.boards import boards_table
from ledgers.claims import claims_table
from ledgers.foreign import networks_table
from ledgers.latency_fit import latency_fit_table
from ledgers.memory import memory_table
from ledgers.peers import Peer, PeerRow, peer_rows, peers_table
from ledgers.peers_plot import peers_svg
from ledgers.teachers import teachers_table
from ledgers.throughput import throughput_table
from ledgers.transfer import transfer_table
from ledgers.trials import Trial, trials_table
from ledgers.trials_plot import trials_svg

from edgefer import files
from edgefer.errors import EdgeferError
from edgefer.report.comparison import compare
from edgefer.report.document import markdown, update_document
from edgefer.report.model_card import card
from edgefer.report.model_card_data import ModelCardData
from edgefer.report.report_data import ReportData, read_report_data
from edgefer.report.sections.blocks import Block, Drawing, Paragraph, Section, table_blocks
from edgefer.report.sections.report import Part
from edgefer.report.tables import Table

__all__ = ["PARTS", "board_notes", "folder_tables", "read", "update"]

ROOT = Path(__file__).resolve().parents[1]
# Records that fill the section of their name: their kind, and the function that builds the table.
LEDGERS: Mapping[str, tuple[str, Callable[[Any], Table]]] = {
    "systems": ("systems", claims_table),
    "bit-exact": ("bit-exact", bit_exact_table),
    "bring-your-own": ("bring_your_own", networks_table),
    "bounded-memory": ("bounded_memory", memory_table),
    "latency-model": ("latency-fit", latency_fit_table),
    "teachers": ("teachers", teachers_table),
    "training": ("training-throughput", throughput_table),
    "transfer": ("transfer", transfer_table),
}
EMULATED = "These boards are emulated: instruction counts are exact, but times are meaningless."


def main() -> None:
    """Render everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to update (default: this one)")
    for line in update(parser.parse_args().root):
        print(line)  # noqa: T201 - a script reports its progress


def update(root: Path) -> Iterator[str]:
    """Update the documents and cards of the checkout at ``root``; yield a line for each.

    Raises:
        DataError: a result cannot be read.
        UsageError: a document has a damaged pair of markers.
    """
    results = root / "benchmarks" / "results"
    boards = root / "benchmarks" / "boards"
    documents = [root / "README.md", *(folder / "README.md" for folder in (root / "benchmarks", boards))]
    documents += sorted((root / "docs").glob("**/*.md"))

    def place(section: str, content: str) -> Iterator[str]:
        for document in documents:
            if document.exists() and f"<!-- results {section}:begin -->" in document.read_text(encoding="utf-8"):
                update_document(document, content, section=section)
                yield f"{document}: section {section}"

    if any(boards.glob("*.json")):
        yield from place("boards", boards_table(read([boards]).results.benches).markdown())
    folders = sorted(folder for folder in results.iterdir() if folder.is_dir())
    for folder in folders:
        yield from place(folder.name, folder_tables(read([folder])))
    if results / "shipped" in folders:
        for table in read([results / "shipped"]).results.tables():
            yield from place("quantization", table.markdown())
    models = sorted((root / "edgefer" / "models").glob("*.tflite"))
    for path in models:
        yield _write_card(path, read([path, *folders]))
    for name, (kind, build) in LEDGERS.items():
        ledger = results / f"{name}.json"
        if ledger.exists():
            (entries,) = read([ledger]).results.extra[kind]
            yield from place(name, build(entries).markdown())
    networks = results / "search-nano-pi4.json"
    if networks.exists():
        yield from place(networks.stem, "\n\n".join(table.markdown() for table in read([networks]).results.tables()))
    search, peers = results / "search.json", results / "peers.json"
    if search.exists():
        (trials,) = read([search]).results.extra["search"]
        drawing = root / "benchmarks" / "search.svg"
        files.write_text(drawing, f"{trials_svg(trials)}\n")
        image = f"![accuracy and size of the models in the search]({drawing.name})"
        yield from place("search", f"{image}\n\n{trials_table(trials).markdown()}")
    if peers.exists():
        counts = [results / "arm64-emulated" / f"{path.stem}.arm64.json" for path in models]
        inputs = [peers, *(path for path in [results / "shipped", *counts] if path.exists())]
        data = read(inputs)
        rows = _peer_rows(data)
        drawing = root / "docs" / "images" / "models.svg"
        files.write_text(drawing, f"{peers_svg(rows)}\n")
        yield f"{drawing}: models"
        yield from place("peers", _peers_table(data, rows).markdown())


def _write_card(path: Path, data: ReportData) -> str:
    (model,) = data.models
    facts = ModelCardData.of_file(model.artifact, model.file_bytes, data.results, data.quantizations)
    target = path.with_suffix(".md")
    files.write_text(target, card(facts, board_notes=board_notes(data, facts.sha256)))
    return f"{target}: {len(facts.evaluations)} evaluations, {len(facts.timings)} timings"


def read(paths: Sequence[Path]) -> ReportData:
    """Read results of edgefer and of the project's own ledgers.

    Raises:
        DataError: a file cannot be read or is damaged.
        IncompatibleError: a newer edgefer wrote a file.
    """
    return read_report_data(paths, readers=READERS)


def folder_tables(data: ReportData) -> str:
    """Render all tables of a folder of results as Markdown."""
    results = data.results
    scored = (*results.evaluations, *(training.evaluation for training in data.trainings if training.evaluation))
    parts = [markdown(compare(scored, results.measurements))] if scored or results.measurements else []
    tables = [*results.tables(), *_arm64_tables(data)]
    return "\n\n".join([*parts, *(table.markdown() for table in tables)])


def board_notes(data: ReportData, sha256: str) -> list[str]:
    """Render the instructions of one model on emulated boards, for its card; empty without any."""
    records = [record for record in _arm64(data) if record.sha256 == sha256]
    return [instructions_table(records).markdown(), EMULATED] if records else []


def instructions_section(data: ReportData) -> Section | None:
    """Build the section on emulated boards; None without any."""
    instructions, *parity = _arm64_tables(data) or [None]
    if instructions is None:
        return None
    blocks = table_blocks("Million instructions per inference", instructions)
    blocks += [block for table in parity for block in table_blocks("Outputs compared with x86-64", table)]
    return Section("instructions", "Instructions on arm64", [*blocks, Paragraph(EMULATED)])


def claims_section(data: ReportData) -> Section | None:
    """Build the section on reference systems; None without any."""
    claims = [claim for claims in data.results.extra.get("systems", ()) for claim in claims]
    return Section("claims", "Reference systems", table_blocks("Claims", claims_table(claims))) if claims else None


def trials_section(data: ReportData) -> Section | None:
    """Build the section on the search; None without any trial."""
    trials: list[Trial] = [trial for trials in data.results.extra.get("search", ()) for trial in trials]
    if not trials:
        return None
    drawing: list[Block] = [Drawing(trials_svg(trials), "Hover over a mark to show its values.")]
    return Section("search", "Search", [*drawing, *table_blocks("Trials", trials_table(trials))])


def peers_section(data: ReportData) -> Section | None:
    """Build the section on models of other projects; None without any."""
    if "peers" not in data.results.extra:
        return None
    # The names in the table for a terminal contain no Markdown.
    table = _peers_table(data, _peer_rows(data)).narrow
    return Section("peers", "Other models", table_blocks("By size", table)) if table else None


# Sections for edgefer.report.sections.report.build_report(data, parts=PARTS).
PARTS = (
    Part("instructions", "Instructions", instructions_section),
    Part("claims", "Reference systems", claims_section),
    Part("search", "Search", trials_section),
    Part("peers", "Other models", peers_section),
)


def _arm64(data: ReportData) -> Sequence[Arm64]:
    return data.results.extra.get("arm64", ())


def _arm64_tables(data: ReportData) -> list[Table]:
    records = _arm64(data)
    tables: list[Callable[[Sequence[Arm64]], Table | None]] = [instructions_table, parity_table]
    return [table for build in tables if (table := build(records)) is not None] if records else []


def _peers_table(data: ReportData, rows: Sequence[PeerRow]) -> Table:
    return peers_table(_peers(data), rows, measurements=data.results.measurements)


def _peer_rows(data: ReportData) -> list[PeerRow]:
    results = data.results
    return peer_rows(
        _peers(data),
        evaluations=results.evaluations,
        measurements=results.measurements,
        inspections=results.inspections,
        instructions={record.sha256: record.instructions.get("litert", {}) for record in _arm64(data)},
    )


def _peers(data: ReportData) -> list[Peer]:
    return [peer for peers in data.results.extra["peers"] for peer in peers]


if __name__ == "__main__":
    try:
        main()
    except EdgeferError as error:
        sys.exit(str(error))

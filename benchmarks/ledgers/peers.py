"""The shipped models and models of other projects as a table, smallest first.

    peers = read_peers(fields)                      # from benchmarks/peers.py
    rows = peer_rows(peers, evaluations=evaluations, measurements=measurements)
    peers_table(peers, rows)

A record has ``kind`` "peers", ``schema_version`` 1, and ``peers``: one object per model with the fields of Peer. Its
numbers are null where they are unknown; the counts of instructions may be absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgefer.escaping import escape_markdown
from edgefer.report.tables import Table
from edgefer.results import schema
from edgefer.results.evaluation import Accuracy, Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.measurement import Measurement
from ledgers.entries import check_entry, require

__all__ = ["COUNTS", "Peer", "PeerRow", "peer_rows", "peers_table", "read_peers"]

KIND = "peers"
SCHEMA_VERSION = 1
PUBLIC, PRIVATE = "PublicTest", "PrivateTest"
# Each of FER2013's test splits has this many images.
IMAGES = 3589
HEADERS = ("model", "int8 KiB", f"{PUBLIC}, % (95 % interval)", f"{PRIVATE}, %", "MMACs", "p50, us")
NARROW_HEADERS = ("model", "int8\nKiB", f"{PUBLIC} %", f"{PRIVATE} %", "MMACs", "p50 us")
NUMBERS = ("bytes", "public_percent", "private_percent", "mmacs", "p50_us")
# Fields with millions of instructions per inference, by board.
COUNTS = {"Pi 4": "pi4_minstructions", "Pi 5": "pi5_minstructions"}
COUNTS_HEADER = f"M instructions, {' / '.join(COUNTS)}"
COUNTS_LEGEND = "M instructions: millions per inference on emulated boards, LiteRT, one thread."
SHIPPED_MARK, REPORTED_MARK = "*", "†"


@dataclass(frozen=True)
class Peer:
    """A model of another project.

    Attributes:
        name: name of the model.
        what: short description.
        source: origin of the model; rendered as a link if it begins with https://.
        bytes: size of its int8 file.
        public_percent, private_percent: accuracy on FER2013's test splits.
        mmacs: million multiply-accumulates.
        p50_us: latency of an inference with one thread.
        measured_here: True if edgefer measured these numbers; otherwise they are older or published.
        note: a remark for the legend, or empty.
        pi4_minstructions, pi5_minstructions: million instructions per inference on emulated boards, with one thread.
    """

    name: str
    what: str
    source: str
    bytes: int | None
    public_percent: float | None
    private_percent: float | None
    mmacs: float | None
    p50_us: float | None
    measured_here: bool
    note: str
    pi4_minstructions: float | None = None
    pi5_minstructions: float | None = None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Peer:
        """Read one entry.

        Raises:
            DataError: a field is missing or invalid; the message names the peer.
        """
        check_entry(
            fields, "peer", numbers=NUMBERS, optional=COUNTS.values(),
            what=str, source=str, measured_here=bool, note=(str, type(None)),
        )  # fmt: skip
        values = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        return cls(**{**values, "note": values["note"] or ""})


@dataclass(frozen=True)
class PeerRow:
    """An unformatted row.

    Attributes:
        name: name of the model.
        markdown_name, terminal_name: the same with marks, as Markdown and for a terminal.
        ships: True for a model of edgefer.
        size_bytes: size of the int8 file.
        public, private: accuracy on PublicTest and PrivateTest in percent.
        interval: 95 % interval of ``public`` in percent; None for a published number.
        mmacs: million multiply-accumulates.
        p50_us: latency of an inference with one thread.
        counts: million instructions per inference on the boards of COUNTS.
    """

    name: str
    markdown_name: str
    terminal_name: str
    ships: bool
    size_bytes: int | None
    public: float | None
    interval: tuple[float, float] | None
    private: float | None
    mmacs: float | None
    p50_us: float | None
    counts: tuple[float | None, ...]


def read_peers(fields: Mapping[str, Any]) -> tuple[Peer, ...]:
    """Read a record of kind "peers".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, peers=list)
    return tuple(Peer.from_json(entry) for entry in fields["peers"])


def peer_rows(
    peers: Sequence[Peer],
    *,
    evaluations: Sequence[Evaluation] = (),
    measurements: Sequence[Measurement] = (),
    inspections: Iterable[Inspection] = (),
    instructions: Mapping[str | None, Mapping[str, int]] = MappingProxyType({}),
) -> list[PeerRow]:
    """Combine models of other projects with edgefer's, the smallest first.

    Args:
        peers: models of other projects. A peer without any number gets no row.
        evaluations: evaluations of edgefer's models; each int8 file among them gets a row.
        measurements: latency measurements of these models.
        inspections: inspections of these models.
        instructions: instructions per inference with LiteRT, by SHA-256 and board.
    """
    macs = {inspection.sha256: inspection.macs for inspection in inspections}
    shipped = list(_shipped_rows(evaluations, _timed(measurements), macs, instructions))
    known = [peer for peer in peers if any(getattr(peer, name) is not None for name in NUMBERS)]
    return sorted(
        [*map(_peer_row, known), *shipped], key=lambda row: (row.size_bytes is None, row.size_bytes, row.terminal_name)
    )


def peers_table(peers: Sequence[Peer], rows: Sequence[PeerRow], *, measurements: Sequence[Measurement] = ()) -> Table:
    """Tabulate models, one row each.

    Args:
        peers: models of other projects; the legend contains their notes.
        rows: rows of peer_rows(). Their instructions do not fit an 80-column terminal and appear in the Markdown table
            only.
        measurements: latency measurements of edgefer's models; the legend names the machine.
    """
    legend = _legend(peers, _timed(measurements), ships=any(row.ships for row in rows))
    narrow_rows = [[row.terminal_name, *_numbers(row)] for row in rows]
    narrow = Table(NARROW_HEADERS, narrow_rows, f"{SHIPPED_MARK}: {legend}", text_columns=1)
    cells = [[row.markdown_name, *_numbers(row)] for row in rows]
    headers: tuple[str, ...] = HEADERS
    legend = f"Bold: {legend}"
    if any(count for row in rows for count in row.counts):
        cells = [[*line, _counts(row.counts)] for line, row in zip(cells, rows, strict=True)]
        headers = (*HEADERS, COUNTS_HEADER)
        legend += f" {COUNTS_LEGEND}"
    return Table(headers, cells, legend, text_columns=1, narrow=narrow, is_markdown=True)


def _timed(measurements: Sequence[Measurement]) -> list[Measurement]:
    return [timing for timing in measurements if timing.threads == 1 and timing.kernels == "default"]


def _shipped_rows(
    evaluations: Sequence[Evaluation],
    timed: Sequence[Measurement],
    macs: Mapping[str, int],
    instructions: Mapping[str | None, Mapping[str, int]],
) -> Iterator[PeerRow]:
    files = [
        evaluation
        for evaluation in evaluations
        if evaluation.subject.get("file_bytes") and str(evaluation.subject.get("scheme")).startswith("int8")
    ]
    for sha256 in dict.fromkeys(evaluation.subject["sha256"] for evaluation in files):
        scored = [evaluation for evaluation in files if evaluation.subject["sha256"] == sha256]
        splits = {evaluation.split: evaluation.accuracy for evaluation in reversed(scored)}
        latencies = [measurement.p50_us for measurement in timed if measurement.subject.get("sha256") == sha256]
        counts = instructions.get(sha256, {})
        name = str(scored[0].subject.get("file") or scored[0].model).removesuffix(".tflite")
        public = splits.get(PUBLIC)
        yield PeerRow(
            name=name,
            markdown_name=f"**{escape_markdown(name)}**",
            terminal_name=f"{SHIPPED_MARK} {name}",
            ships=True,
            size_bytes=scored[0].subject["file_bytes"],
            public=_percent(public),
            interval=_interval(public),
            private=_percent(splits.get(PRIVATE)),
            mmacs=macs[sha256] / 1e6 if sha256 in macs else None,
            p50_us=latencies[0] if latencies else None,
            counts=tuple(counts[board] / 1e6 if board in counts else None for board in COUNTS),
        )


def _peer_row(peer: Peer) -> PeerRow:
    mark = "" if peer.measured_here else f" {REPORTED_MARK}"
    is_link = peer.source.startswith("https://") and not set(peer.source) & set(" ()<>\"'\n|")
    name = escape_markdown(peer.name)
    interval = None
    if peer.public_percent is not None and peer.measured_here:
        interval = _interval(Accuracy(round(peer.public_percent * IMAGES / 100), IMAGES))
    return PeerRow(
        name=peer.name,
        markdown_name=f"[{name}]({peer.source}){mark}" if is_link else f"{name}{mark}",
        terminal_name=f"{peer.name}{mark}",
        ships=False,
        size_bytes=peer.bytes,
        public=peer.public_percent,
        interval=interval,
        private=peer.private_percent,
        mmacs=peer.mmacs,
        p50_us=peer.p50_us,
        counts=tuple(getattr(peer, field) for field in COUNTS.values()),
    )


def _numbers(row: PeerRow) -> list[str | None]:
    public = None if row.public is None else f"{row.public:.1f}"
    return [
        None if row.size_bytes is None else f"{row.size_bytes / 1024:,.0f}",
        "{} ({:.1f}-{:.1f})".format(public, *row.interval) if row.interval else public,
        None if row.private is None else f"{row.private:.1f}",
        None if row.mmacs is None else f"{row.mmacs:,.1f}",
        None if row.p50_us is None else f"{row.p50_us:,.0f}",
    ]


def _counts(counts: Sequence[float | None]) -> str | None:
    return " / ".join("-" if count is None else f"{count:.1f}" for count in counts) if any(counts) else None


def _percent(accuracy: Accuracy | None) -> float | None:
    return None if accuracy is None or accuracy.share is None else 100 * accuracy.share


def _interval(accuracy: Accuracy | None) -> tuple[float, float] | None:
    if accuracy is None or accuracy.interval is None:
        return None
    low, high = accuracy.interval
    return 100 * low, 100 * high


def _legend(peers: Sequence[Peer], timed: Sequence[Measurement], *, ships: bool) -> str:
    sentences = [f"models that edgefer ships. {PUBLIC} and {PRIVATE} of FER2013, {IMAGES:,} images each."]
    if ships:
        sentences.append("int8 KiB: these models with their contract, the others without.")
    machines = [
        f"{timing.device.get('board') or timing.device.get('cpu')}, {timing.runtime} {timing.runtime_version}"
        for timing in timed
    ]
    if machines and ships:
        sentences.append(f"p50: of the model alone, {'; '.join(dict.fromkeys(machines))}, one thread.")
    if not all(peer.measured_here for peer in peers):
        sentences.append(f"{REPORTED_MARK}: measured earlier or published; all other numbers were measured here.")
    notes: dict[str, list[str]] = {}
    for peer in peers:
        if peer.note:
            notes.setdefault(peer.note.rstrip("."), []).append(peer.name)
    return " ".join([*sentences, *(f"{', '.join(names)}: {note}." for note, names in notes.items())])

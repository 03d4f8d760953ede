"""The models that ship beside those of others, smallest first, as a table.

    peers = peers_of(fields)                        # of a record of kind "peers"
    peers_table(peers, evaluations=evaluations, measurements=measurements)

Such a record has ``kind`` "peers", ``schema_version`` 1, and ``peers``, one object a model with the fields of Peer:
name, what, source, bytes, public_percent, private_percent, mmacs, p50_us, measured_here, note, and, where instructions
were counted, pi4_minstructions and pi5_minstructions. The numbers may be null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgefer.report.entries import check_entry
from edgefer.report.tables import Table, safe
from edgefer.results import schema
from edgefer.results.evaluation import Accuracy, Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.measurement import Measurement

__all__ = ["COUNTS", "Peer", "peers_of", "peers_table"]

KIND = "peers"
SCHEMA_VERSION = 1
PUBLIC, PRIVATE = "PublicTest", "PrivateTest"
# Of FER2013's two test splits, each.
IMAGES = 3589
HEADERS = ("model", "int8 KiB", f"{PUBLIC}, % (95 % interval)", f"{PRIVATE}, %", "MMACs", "p50, us")
SHORT = ("model", "int8\nKiB", f"{PUBLIC} %", f"{PRIVATE} %", "MMACs", "p50 us")
NUMBERS = ("bytes", "public_percent", "private_percent", "mmacs", "p50_us")
# Not every record has them; they get a column where some row has.
COUNTS = {"Pi 4": "pi4_minstructions", "Pi 5": "pi5_minstructions"}
COUNTED = f"M instructions, {' / '.join(COUNTS)}"
OWN, CLAIMED = "*", "†"


@dataclass(frozen=True)
class Peer:
    """A model of somebody else.

    Attributes:
        name, what: its name, and what it is in a few words.
        source: where it is from; a link where it begins with https://.
        bytes: of its int8 file.
        public_percent, private_percent: accuracy on FER2013's two test splits.
        mmacs: million multiply-accumulates.
        p50_us: of an inference, one thread.
        measured_here: whether these numbers were measured with edgefer; else they are older, or published.
        note: what one should know, or empty.
        pi4_minstructions, pi5_minstructions: million instructions of an inference on emulated boards, one thread.
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
            DataError: a field is missing, of another type, or a number that cannot be; the message names the peer.
        """
        check_entry(
            fields, "peer", numbers=NUMBERS, optional=COUNTS.values(),
            what=str, source=str, measured_here=bool, note=(str, type(None)),
        )  # fmt: skip
        values = {each: fields[each] for each in cls.__dataclass_fields__ if each in fields}
        return cls(**{**values, "note": values["note"] or ""})


@dataclass(frozen=True)
class _Entry:
    """A row before it is written; names as Markdown and for a terminal."""

    linked: str
    name: str
    size_bytes: int | None
    public: str | None
    private: str | None
    mmacs: float | None
    p50_us: float | None
    counts: tuple[float | None, ...]


def peers_of(fields: Mapping[str, Any]) -> tuple[Peer, ...]:
    """Read a record of kind "peers".

    Raises:
        DataError: it is none, or an entry is damaged.
        IncompatibleError: a later schema version.
    """
    schema.validate(fields, KIND, SCHEMA_VERSION)
    schema.require(fields, peers=list)
    return tuple(Peer.from_json(each) for each in fields["peers"])


def peers_table(
    peers: Sequence[Peer],
    *,
    evaluations: Iterable[Evaluation] = (),
    measurements: Sequence[Measurement] = (),
    inspections: Iterable[Inspection] = (),
    instructions: Mapping[str | None, Mapping[str, int]] = MappingProxyType({}),
) -> Table:
    """One row a model, the smallest first; edgefer's own are the int8 files that the evaluations are of.

    A peer of which there is no number but in its note gets no row. ``instructions`` are of an inference with LiteRT,
    by sha256 and board; they do not fit a terminal's 80 columns.
    """
    timed = [each for each in measurements if each.threads == 1 and each.kernels == "default"]
    macs = {each.sha256: each.macs for each in inspections}
    own = list(_own(list(evaluations), timed, macs, instructions))
    told = [each for each in peers if any(getattr(each, name) is not None for name in NUMBERS)]
    rows = sorted([*map(_peer, told), *own], key=lambda each: (each.size_bytes is None, each.size_bytes, each.name))
    legend = _legend(peers, timed if own else [])
    narrow = Table(SHORT, [[each.name, *_numbers(each)] for each in rows], f"{OWN}: {legend}", names=1)
    full = [[each.linked, *_numbers(each)] for each in rows]
    headers: tuple[str, ...] = HEADERS
    legend = f"In bold: {legend}"
    if any(each for row in rows for each in row.counts):
        full = [[*cells, _counted(row.counts)] for cells, row in zip(full, rows, strict=True)]
        headers = (*HEADERS, COUNTED)
        legend += " M instructions: millions of an inference on emulated boards, LiteRT, one thread."
    return Table(headers, full, legend, names=1, narrow=narrow)


def _own(
    evaluations: Sequence[Evaluation],
    timed: Sequence[Measurement],
    macs: Mapping[str, int],
    counts: Mapping[str | None, Mapping[str, int]],
) -> Iterator[_Entry]:
    files = [
        each
        for each in evaluations
        if each.subject.get("file_bytes") and str(each.subject.get("scheme")).startswith("int8")
    ]
    for sha256 in dict.fromkeys(each.subject["sha256"] for each in files):
        scored = [each for each in files if each.subject["sha256"] == sha256]
        splits = {each.split: each.accuracy for each in reversed(scored)}
        times = [each for each in timed if each.subject.get("sha256") == sha256]
        counted = counts.get(sha256, {})
        name = str(scored[0].subject.get("file") or scored[0].model).removesuffix(".tflite")
        yield _Entry(
            linked=f"**{safe(name)}**",
            name=f"{OWN} {name}",
            size_bytes=scored[0].subject["file_bytes"],
            public=_bounded(splits.get(PUBLIC)),
            private=_plain(splits.get(PRIVATE)),
            mmacs=macs[sha256] / 1e6 if sha256 in macs else None,
            p50_us=times[0].p50_us if times else None,
            counts=tuple(counted[board] / 1e6 if board in counted else None for board in COUNTS),
        )


def _peer(peer: Peer) -> _Entry:
    mark = "" if peer.measured_here else f" {CLAIMED}"
    is_link = peer.source.startswith("https://") and not set(peer.source) & set(" ()<>\"'\n|")
    linked = f"[{safe(peer.name)}]({peer.source})" if is_link else safe(peer.name)
    public = None
    if peer.public_percent is not None:
        counted = Accuracy(round(peer.public_percent * IMAGES / 100), IMAGES)
        public = _bounded(counted) if peer.measured_here else f"{peer.public_percent:.1f}"
    return _Entry(
        linked=f"{linked}{mark}",
        name=f"{peer.name}{mark}",
        size_bytes=peer.bytes,
        public=public,
        private=None if peer.private_percent is None else f"{peer.private_percent:.1f}",
        mmacs=peer.mmacs,
        p50_us=peer.p50_us,
        counts=tuple(getattr(peer, field) for field in COUNTS.values()),
    )


def _numbers(entry: _Entry) -> list[str | None]:
    return [
        None if entry.size_bytes is None else f"{entry.size_bytes / 1024:,.0f}",
        entry.public,
        entry.private,
        None if entry.mmacs is None else f"{entry.mmacs:,.1f}",
        None if entry.p50_us is None else f"{entry.p50_us:,.0f}",
    ]


def _counted(counts: Sequence[float | None]) -> str | None:
    return " / ".join("-" if each is None else f"{each:.1f}" for each in counts) if any(counts) else None


def _bounded(accuracy: Accuracy | None) -> str | None:
    if accuracy is None or accuracy.share is None or accuracy.interval is None:
        return None
    return "{:.1f} ({:.1f}-{:.1f})".format(100 * accuracy.share, *(100 * each for each in accuracy.interval))


def _plain(accuracy: Accuracy | None) -> str | None:
    return None if accuracy is None or accuracy.share is None else f"{100 * accuracy.share:.1f}"


def _legend(peers: Sequence[Peer], timed: Sequence[Measurement]) -> str:
    said = [f"edgefer's own, as they ship. {PUBLIC} and {PRIVATE} of FER2013, {IMAGES:,} images each."]
    places = [
        f"{each.device.get('board') or each.device.get('cpu')}, {each.runtime} {each.runtime_version}" for each in timed
    ]
    if places:
        said.append(f"p50: of the model alone, {'; '.join(dict.fromkeys(places))}, one thread.")
    if not all(each.measured_here for each in peers):
        said.append(f"{CLAIMED}: measured earlier or published; all else was measured here.")
    notes: dict[str, list[str]] = {}
    for each in peers:
        if each.note:
            notes.setdefault(each.note.rstrip("."), []).append(each.name)
    return " ".join([*said, *(f"{', '.join(names)}: {note}." for note, names in notes.items())])

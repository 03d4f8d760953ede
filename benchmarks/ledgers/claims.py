"""Reference systems compared with the accuracies that their authors claim.

    claims = read_claims(fields)                    # from benchmarks/systems.py
    claims_table(claims)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.report.tables import Table
from edgefer.report.terminal.evaluation import accuracy_text
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from ledgers.entries import require

__all__ = ["Claim", "claims_table", "read_claims"]

KIND = "systems"
SCHEMA_VERSION = 1
# Repeated trainings differ by about this much.
TOLERANCE_POINTS = 1.0
HEADERS = (
    "system", "claimed", "reproduced, %", "without duplicates, %", "int8, %", "holds", "parameters", "MMACs",
    "int8 KiB", "float p50, us", "int8 p50, us",
)  # fmt: skip
NARROW_HEADERS = (
    "system", "claimed\n%", "reproduced\n%", "int8\n%", "points\nshort", "MMACs", "int8\nKiB", "int8\np50 us",
)  # fmt: skip
EXPLAINED = ", with 95 % intervals; without duplicates: excluding images that are also in Training"
LEGEND = (
    f"PublicTest of FER2013, {{n}} images{EXPLAINED}. "
    "A claim holds if the reproduction reaches it to within {tolerance:g} point. {device}."
)


@dataclass(frozen=True, eq=False)
class Claim:
    """A reproduced reference system.

    Attributes:
        system: name of the system.
        claimed_percent: accuracy that its authors claim.
        claim: the claim in words, with the images that it refers to.
        parameters, macs, size_bytes: parameters, multiply-accumulates and file size of the int8 model.
        plain, int8: evaluations of the float and the int8 model on PublicTest.
        plain_p50_us, int8_p50_us: latency of the model alone, with one thread.
        device: device and runtime of the measurement.
    """

    system: str
    claimed_percent: float
    claim: str
    parameters: int
    macs: int
    size_bytes: int
    plain: Evaluation
    int8: Evaluation
    plain_p50_us: float
    int8_p50_us: float
    device: str

    @property
    def missing_points(self) -> float:
        """Points by which the reproduction misses the claim; negative above it."""
        return self.claimed_percent - 100 * (self.plain.accuracy.share or 0.0)

    @property
    def holds(self) -> bool:
        """True if the reproduction reaches the claim to within TOLERANCE_POINTS."""
        return self.missing_points <= TOLERANCE_POINTS

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Claim:
        """Read one entry of a record of kind "systems".

        Raises:
            DataError: a field is missing or invalid.
        """
        require(
            fields, system=str, claimed_percent=(int, float), claim=str, parameters=int, macs=int, bytes=dict,
            evaluations=dict, latency=dict, device=dict,
        )  # fmt: skip
        latency, int8 = fields["latency"], fields["latency"]["int8"]
        for scheme in ("float32", "int8"):
            require(latency[scheme]["invoke"], p50_us=(int, float))
        require(fields["bytes"], int8=int)
        return cls(
            system=fields["system"],
            claimed_percent=fields["claimed_percent"],
            claim=fields["claim"],
            parameters=fields["parameters"],
            macs=fields["macs"],
            size_bytes=fields["bytes"]["int8"],
            plain=Evaluation.from_json(fields["evaluations"]["float32"]),
            int8=Evaluation.from_json(fields["evaluations"]["int8"]),
            plain_p50_us=latency["float32"]["invoke"]["p50_us"],
            int8_p50_us=int8["invoke"]["p50_us"],
            device=f"{fields['device']['cpu']}, {int8['runtime']} {int8['runtime_version']}, one thread",
        )


def read_claims(fields: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Read a record of kind "systems".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, systems=list)
    return tuple(Claim.from_json(entry) for entry in fields["systems"])


def claims_table(claims: Sequence[Claim]) -> Table:
    """Tabulate the claims, one row per system; there must be at least one."""
    devices = ". ".join(dict.fromkeys(claim.device for claim in claims))
    counts = " or ".join(dict.fromkeys(f"{claim.plain.n:,}" for claim in claims))
    legend = LEGEND.format(n=counts, tolerance=TOLERANCE_POINTS, device=devices)
    narrow = Table(NARROW_HEADERS, [_narrow_row(claim) for claim in claims], legend.replace(EXPLAINED, ""))
    return Table(HEADERS, [_row(claim) for claim in claims], legend, narrow=narrow)


def _row(claim: Claim) -> list[str | None]:
    return [
        claim.system,
        claim.claim,
        accuracy_text(claim.plain.accuracy),
        accuracy_text(claim.plain.deduplicated) if claim.plain.deduplicated else None,
        accuracy_text(claim.int8.accuracy),
        "yes" if claim.holds else f"no, {claim.missing_points:.1f} points short",
        f"{claim.parameters:,}",
        f"{claim.macs / 1e6:.1f}",
        f"{claim.size_bytes / 1024:,.0f}",
        f"{claim.plain_p50_us:,.0f}",
        f"{claim.int8_p50_us:,.0f}",
    ]


def _narrow_row(claim: Claim) -> list[str | None]:
    return [
        claim.system,
        f"{claim.claimed_percent:.2f}",
        f"{100 * (claim.plain.accuracy.share or 0.0):.2f}",
        f"{100 * (claim.int8.accuracy.share or 0.0):.2f}",
        "holds" if claim.holds else f"{claim.missing_points:.1f}",
        f"{claim.macs / 1e6:.1f}",
        f"{claim.size_bytes / 1024:,.0f}",
        f"{claim.int8_p50_us:,.0f}",
    ]

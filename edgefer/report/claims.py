"""Reference systems against what their authors claim, as a table.

    Claim.from_json(fields)
    claims_table(claims)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.report.tables import Table
from edgefer.report.terminal.evaluation import points
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation

__all__ = ["Claim", "claims_table"]

# A training is repeated within so many points, whatever the seed.
ALLOWED_POINTS = 1.0
HEADERS = (
    "system", "claimed", "reproduced, %", "without twins, %", "int8, %", "holds", "parameters", "MMACs", "int8 KiB",
    "float p50, us", "int8 p50, us",
)  # fmt: skip
SHORT = ("system", "claimed\n%", "reproduced\n%", "int8\n%", "points\nshort", "MMACs", "int8\nKiB", "int8\np50 us")
TWINS = ", with 95 % intervals; without twins: without the images that are in Training too"
LEGEND = (
    f"All of them on PublicTest of FER2013, {{n}} images{TWINS}. "
    "A claim holds when it is reached to within {allowed:g} point. {device}."
)


@dataclass(frozen=True, eq=False)
class Claim:
    """A reference system, reproduced.

    Attributes:
        system: its name.
        claimed_percent: the accuracy that its authors give.
        claim: that in their words' sense: of which images.
        parameters, macs, size_bytes: of the int8 model.
        plain, int8: the evaluations on PublicTest.
        plain_p50_us, int8_p50_us: of the model alone, one thread.
        device: where, and with which runtime.
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
        """How far below the claim the reproduction is, in points; negative above it."""
        return self.claimed_percent - 100 * (self.plain.accuracy.share or 0.0)

    @property
    def holds(self) -> bool:
        """Whether the claim is reached to within ALLOWED_POINTS."""
        return self.missing_points <= ALLOWED_POINTS

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values for readers; what from_json() reads holds more."""
        plain = {name: value for name, value in vars(self).items() if name not in ("plain", "int8")}
        scores = {"accuracy": self.plain.accuracy.to_json(), "int8_accuracy": self.int8.accuracy.to_json()}
        return {**plain, **scores, "missing_points": self.missing_points, "holds": self.holds}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Claim:
        """Read an entry of a record of kind "systems", as benchmarks/systems.py writes it.

        Raises:
            DataError: a field is missing.
        """
        schema.require(
            fields, system=str, claimed_percent=(int, float), claim=str, parameters=int, macs=int, bytes=dict,
            evaluations=dict, latency=dict, device=dict,
        )  # fmt: skip
        times, ran = fields["latency"], fields["latency"]["int8"]
        for each in ("float32", "int8"):
            schema.require(times[each]["invoke"], p50_us=(int, float))
        schema.require(fields["bytes"], int8=int)
        return cls(
            system=fields["system"],
            claimed_percent=fields["claimed_percent"],
            claim=fields["claim"],
            parameters=fields["parameters"],
            macs=fields["macs"],
            size_bytes=fields["bytes"]["int8"],
            plain=Evaluation.from_json(fields["evaluations"]["float32"]),
            int8=Evaluation.from_json(fields["evaluations"]["int8"]),
            plain_p50_us=times["float32"]["invoke"]["p50_us"],
            int8_p50_us=times["int8"]["invoke"]["p50_us"],
            device=f"{fields['device']['cpu']}, {ran['runtime']} {ran['runtime_version']}, one thread",
        )


def claims_table(claims: Sequence[Claim]) -> Table:
    """One row a system, at least one; what the columns mean, and where the times were taken."""
    devices = ". ".join(dict.fromkeys(each.device for each in claims))
    counts = " or ".join(dict.fromkeys(f"{each.plain.n:,}" for each in claims))
    legend = LEGEND.format(n=counts, allowed=ALLOWED_POINTS, device=devices)
    narrow = Table(SHORT, [_short(each) for each in claims], legend.replace(TWINS, ""))
    return Table(HEADERS, [_row(each) for each in claims], legend, narrow=narrow)


def _row(claim: Claim) -> list[str | None]:
    return [
        claim.system,
        claim.claim,
        points(claim.plain.accuracy),
        points(claim.plain.unseen) if claim.plain.unseen else None,
        points(claim.int8.accuracy),
        "yes" if claim.holds else f"no, {claim.missing_points:.1f} points short",
        f"{claim.parameters:,}",
        f"{claim.macs / 1e6:.1f}",
        f"{claim.size_bytes / 1024:,.0f}",
        f"{claim.plain_p50_us:,.0f}",
        f"{claim.int8_p50_us:,.0f}",
    ]


def _short(claim: Claim) -> list[str | None]:
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

"""What stands in tables of its own: instructions on emulated boards, reference systems, and models of others.

    instructions_section(evidence), claims_section(evidence), peers_section(evidence)
"""

from __future__ import annotations

from edgefer.report.arm64 import arm64_tables
from edgefer.report.claims import claims_table
from edgefer.report.html.markup import Html, element, section, tabulated
from edgefer.report.html.page_data import ReportData

__all__ = ["claims_section", "instructions_section", "peers_section"]


def instructions_section(evidence: ReportData) -> Html | None:
    """Instructions of an inference, and answers compared with x86-64; None without any."""
    tables = arm64_tables(evidence.results.arm64)
    if not tables:
        return None
    captions = ("Million instructions of an inference", "Answers compared with x86-64")
    note = "These boards are emulated: instructions rank models and boards, and say nothing of clocks and caches."
    parts = [part for caption, each in zip(captions, tables) for part in tabulated(caption, each)]
    return section("instructions", "Instructions on arm64", *parts, element("p", note))


def claims_section(evidence: ReportData) -> Html | None:
    """Reference systems against what their authors claim; None without any."""
    claims = evidence.results.claims
    return section("claims", "Reference systems", *tabulated("Claims", claims_table(claims))) if claims else None


def peers_section(evidence: ReportData) -> Html | None:
    """The given models beside those of others; None without any."""
    results = evidence.results
    if not results.peers:
        return None
    # The table for a terminal has no Markdown in it.
    whole = results.beside_peers().narrow
    return section("peers", "Beside others", *tabulated("By size", whole)) if whole else None

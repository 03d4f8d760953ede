"""The section on instructions that were counted on emulated processors."""

from __future__ import annotations

from edgefer.report.instruction_table import instruction_table
from edgefer.report.report_data import ReportData
from edgefer.report.sections.blocks import Section, table_blocks

__all__ = ["counts_section"]


def counts_section(data: ReportData) -> Section | None:
    """Build the section; return None without counts."""
    records = data.results.instructions
    if not records:
        return None
    return Section("counts", "Instructions", table_blocks("One inference", instruction_table(records)))

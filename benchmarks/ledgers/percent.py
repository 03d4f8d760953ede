"""Format an accuracy with its interval.

    percent_with_interval(2417, 3589, digits=2)     # "67.34 (65.8-68.9)"
"""

from __future__ import annotations

from edgefer.statistics import wilson_interval

__all__ = ["percent_with_interval"]


def percent_with_interval(correct: int, n: int, *, digits: int) -> str:
    """Return the share of correct faces in percent, with ``digits`` decimals, and its 95 % Wilson interval."""
    low, high = (100 * bound for bound in wilson_interval(correct, n))
    return f"{100 * correct / n:.{digits}f} ({low:.1f}-{high:.1f})"

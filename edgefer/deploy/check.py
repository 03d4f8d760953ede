"""A result of ``edgefer doctor``, and versions of installed packages."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Status", "installed_version"]

Status = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: subject of the check.
        status: "ok"; "note" for a finding that does not prevent benchmarks; "broken" for one that does.
        text: the finding.
        fix: command that fixes the problem, or empty.
    """

    name: str
    status: Status
    text: str
    fix: str = ""


def installed_version(*packages: str) -> str | None:
    """Return the version of the first of these packages that is installed, or None."""
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None

"""Which Python of this machine runs each entry of a job: two runtimes seldom live in one.

    job = with_pythons(job, "old/bin/python")
"""

from __future__ import annotations

from dataclasses import replace

from edgefer.board.execute import installed
from edgefer.board.runtime import choose
from edgefer.job import Job

__all__ = ["with_pythons"]


def with_pythons(job: Job, python: str | None) -> Job:
    """The job with ``python`` in the entries whose runtime is not installed here and is there.

    Raises:
        UsageError: no such interpreter.
        IncompatibleError: a runtime is in neither.
    """
    here = installed().runtimes
    there = installed(python).runtimes if python else {}
    entries = []
    for entry in job.entries:
        if python and entry.runtime in there and entry.runtime not in here:
            entries.append(replace(entry, python=python))
        else:
            choose(entry.runtime)  # raises, and names what to install
            entries.append(entry)
    return replace(job, entries=tuple(entries))

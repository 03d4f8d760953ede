"""The project's own records, such as emulated boards, reference systems, other models and estimated latencies.

    data = read_report_data(paths, readers=READERS)
    data.results.extra["arm64"], data.results.extra["search"]

The records stay out of the package; the scripts in benchmarks/ write them and benchmarks/report.py renders them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledgers.arm64 import Arm64
from ledgers.bit_exact import read_bit_exact
from ledgers.claims import read_claims
from ledgers.foreign import read_networks
from ledgers.latency_fit import read_latency_fits
from ledgers.memory import read_memory
from ledgers.peers import read_peers
from ledgers.teachers import read_teachers
from ledgers.throughput import read_throughput
from ledgers.transfer import read_transfer
from ledgers.trials import read_trials

__all__ = ["READERS"]

# A record of kind "arm64" describes one model; each of the others contains a list and is read as a tuple.
READERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "arm64": Arm64.from_json,
    "systems": read_claims,
    "search": read_trials,
    "peers": read_peers,
    "bring_your_own": read_networks,
    "bit-exact": read_bit_exact,
    "bounded_memory": read_memory,
    "latency-fit": read_latency_fits,
    "teachers": read_teachers,
    "training-throughput": read_throughput,
    "transfer": read_transfer,
}

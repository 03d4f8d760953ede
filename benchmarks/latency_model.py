"""Fit the latency of networks on a Raspberry Pi to their instructions, and validate the fit.

    python benchmarks/latency_model.py BOARD_SH FOLDER      # count, then fit
    python benchmarks/latency_model.py                      # fit again to the recorded counts

results/published-latencies.json has latencies of public networks, each with its source. The networks are built here
with random weights, and their instructions are counted on an emulated board. A latency with four threads is multiplied
by the median ratio of one to four threads that was published for the board and the dtype.

The cost of each class of instructions, in cycles, minimizes the relative error of the latencies. It is also pulled
towards one common cost, because there are few networks. Each network of each dtype is left out once, and predicted by a
fit to the others; then each family of networks is, with both dtypes.

The script writes results/latency-model.json (kind "latency-fit"), and latency_model.json for ``edgefer bench
--estimate`` if the mean error on left-out networks is at most 40 % for every board and dtype.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from edgefer import files
from edgefer.fleet.emulated_board import EmulatedBoard
from edgefer.fleet.latency_model import DTYPES, KIND, MODEL_FILE, SCHEMA_VERSION, FitError, LatencyModel
from edgefer.results import schema
from edgefer.results.instructions import InstructionCounts

RESULTS = Path(__file__).with_name("results")
PUBLISHED, FITTED = RESULTS / "published-latencies.json", RESULTS / "latency-model.json"
# Board and clock of the published latencies, by processor of the emulated board.
BOARDS = {"pi3": ("Pi 3B+", 1.4), "pi4": ("Pi 4", 1.5), "pi5": ("Pi 5", 2.4)}
CLASSES = tuple(InstructionCounts.__dataclass_fields__)
# Weight of the common cost. The error on left-out networks hardly changes from 0 to 0.3 on a Pi 4; without it, the fit
# gives some classes no cost at all.
SHRINKAGE = 0.1
MAX_ERROR = 0.4

Counts = dict[str, dict[str, InstructionCounts]]


@dataclass(frozen=True)
class Latency:
    """A published latency.

    Attributes:
        network: key of NETWORKS.
        dtype: "float32" or "int8".
        processor: key of BOARDS.
        threads: threads of the publication.
        published_ms: milliseconds with these threads.
        single_thread_ms: the same with one thread, if need be computed.
    """

    network: str
    dtype: str
    processor: str
    threads: int
    published_ms: float
    single_thread_ms: float

    @property
    def graph(self) -> str:
        """Name of the network and its dtype."""
        return f"{self.network}-{self.dtype}"

    @property
    def family(self) -> str:
        """Name of the architecture, without the detector around it and the size."""
        return self.network.removeprefix("ssdlite_").rpartition("_lite")[0] or self.network.removeprefix("ssdlite_")


def main() -> None:
    """Count, fit, validate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", type=Path, nargs="?", help="script that runs the emulated board")
    parser.add_argument("folder", type=Path, nargs="?", help="folder of the board")
    options = parser.parse_args()
    latencies = read_latencies(json.loads(PUBLISHED.read_text())["latencies"])
    if options.script is None:
        counts = _read_counts(json.loads(FITTED.read_text())["counts"])
    else:
        counts = _count(EmulatedBoard(options.script, options.folder), latencies)
    fits = {processor: fit_board(processor, latencies, counts) for processor in BOARDS}
    record = {
        **schema.header("latency-fit", 1),
        "counts": {
            graph: {processor: asdict(number) for processor, number in boards.items()}
            for graph, boards in counts.items()
        },
        "boards": {
            processor: {**model.to_json(), "predictions": predictions}
            for processor, (model, predictions) in fits.items()
        },
    }  # fmt: skip
    files.write_text(FITTED, json.dumps(record, indent=1) + "\n")
    errors = [(model.board, dtype, error) for model, _ in fits.values() for dtype, error in model.errors.items()]
    for board, dtype, error in errors:
        print(f"{board}, {dtype}: mean error {100 * error.mean:.0f} % of {error.latencies} latencies")  # noqa: T201
    if any(error.mean > MAX_ERROR for _, _, error in errors):
        sys.exit(f"a mean error is above {100 * MAX_ERROR:.0f} %; {MODEL_FILE} stays as it is")
    models = {processor: model.to_json() for processor, (model, _) in fits.items()}
    header = schema.header(KIND, SCHEMA_VERSION)
    files.write_text(MODEL_FILE, json.dumps({**header, "processors": models}, indent=1) + "\n")


def read_latencies(rows: Sequence[Mapping[str, Any]]) -> list[Latency]:
    """Return the latencies to fit.

    Rows with "scale_only" are other networks, or run without XNNPACK. They only serve the ratio of one to four threads
    where the other rows of a board and dtype have none.

    Args:
        rows: published latencies: network, dtype, processor, source, latency_ms and threads.
    """
    groups: dict[tuple[str, ...], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        groups[row["network"], row["dtype"], row["processor"], row["source"]][row["threads"]] = row
    ratios: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    for (_, dtype, processor, _), by_threads in groups.items():
        if {1, 4} <= set(by_threads):
            one, four = by_threads[1], by_threads[4]
            key = (processor, dtype, bool(one.get("scale_only")))
            ratios[key].append(one["latency_ms"] / four["latency_ms"])
    latencies = []
    for row in rows:
        network, dtype, processor, threads = (row[key] for key in ("network", "dtype", "processor", "threads"))
        if row.get("scale_only") or (threads != 1 and 1 in groups[network, dtype, processor, row["source"]]):
            continue
        known = ratios[processor, dtype, False] or ratios[processor, dtype, True]
        ratio = 1.0 if threads == 1 else statistics.median(known)
        latencies.append(Latency(network, dtype, processor, threads, row["latency_ms"], row["latency_ms"] * ratio))
    return latencies


def fit_board(
    processor: str, latencies: Sequence[Latency], counts: Counts
) -> tuple[LatencyModel, list[dict[str, Any]]]:
    """Fit the costs of a board, and predict each network by a fit to the others.

    Returns:
        The model, and one prediction per latency, in milliseconds with one thread: ``predicted_ms`` without this
        network and dtype, and ``without_family_ms`` without its family, or None if there is no other.
    """
    board, clock_ghz = BOARDS[processor]
    rows = [latency for latency in latencies if latency.processor == processor]
    instructions = np.array([[getattr(counts[row.graph][processor], name) for name in CLASSES] for row in rows], float)
    # Milliseconds of each class if an instruction took one cycle.
    unit_ms = instructions / (clock_ghz * 1e6)
    measured_ms = np.array([row.single_thread_ms for row in rows])

    def predict(index: int, keep: Sequence[bool]) -> float | None:
        others = np.array(keep)
        return float(unit_ms[index] @ fit_cycles(unit_ms[others], measured_ms[others])) if others.any() else None

    predictions = []
    for index, row in enumerate(rows):
        predictions.append(
            {
                **asdict(row), "predicted_ms": predict(index, [other.graph != row.graph for other in rows]),
                "without_family_ms": predict(index, [other.family != row.family for other in rows]),
            }
        )  # fmt: skip
    cycles = dict(zip(CLASSES, map(float, fit_cycles(unit_ms, measured_ms))))
    by_dtype = {dtype: [entry for entry in predictions if entry["dtype"] == dtype] for dtype in DTYPES}
    errors = {dtype: _error(entries) for dtype, entries in by_dtype.items() if entries}
    return LatencyModel(board, clock_ghz, cycles, errors), predictions


def _error(predictions: Sequence[Mapping[str, Any]]) -> FitError:
    errors = [abs(entry["predicted_ms"] / entry["single_thread_ms"] - 1) for entry in predictions]
    return FitError(float(np.mean(errors)), len(errors))


def fit_cycles(unit_times: np.ndarray, latencies: np.ndarray) -> np.ndarray:
    """Return the cost of each class in cycles, at least 0, that minimizes the relative error.

    Args:
        unit_times: float (n, classes), time of the instructions of each class if each took one cycle.
        latencies: float (n,), measured times, in the same unit.
    """
    relative, classes = unit_times / latencies[:, None], unit_times.shape[1]
    # The last unknown is the common cost.
    weight = np.sqrt(SHRINKAGE * len(latencies)) * relative.sum(axis=1).mean() / classes
    pull = weight * np.hstack([np.eye(classes), -np.ones((classes, 1))])
    system = np.vstack([np.hstack([relative, np.zeros((len(latencies), 1))]), pull])
    solution, _ = nnls(system, np.concatenate([np.ones(len(latencies)), np.zeros(classes)]))
    return np.asarray(solution[:classes])


def _count(board: EmulatedBoard, latencies: Sequence[Latency]) -> Counts:
    from public_networks import NETWORKS, convert

    board.prepare()
    needed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for latency in latencies:
        needed[latency.network, latency.dtype].add(latency.processor)
    counts: Counts = {}
    for (network, dtype), processors in needed.items():
        content = convert(NETWORKS[network](), dtype)
        counts[f"{network}-{dtype}"] = numbers = {
            processor: board.count(content, processor=processor, runtime="litert", runs=1)
            for processor in sorted(processors)
        }
        totals = ", ".join(f"{processor} {number.total:,}" for processor, number in numbers.items())
        print(f"{network}-{dtype}: {totals}", flush=True)  # noqa: T201 - a script reports its progress
    return counts


def _read_counts(fields: Mapping[str, Any]) -> Counts:
    return {
        network: {processor: InstructionCounts(**number) for processor, number in boards.items()}
        for network, boards in fields.items()
    }


if __name__ == "__main__":
    main()

"""Fit the latency of networks on a Raspberry Pi to their instructions, and validate the fit.

    python benchmarks/latency_model.py BOARD_SH FOLDER      # count, then fit
    python benchmarks/latency_model.py                      # fit again to the recorded counts

results/published-latencies.json has latencies of public networks, each with its source. The networks are built here
with random weights, and their instructions are counted on an emulated board. A latency with four threads is multiplied
by the median ratio of one to four threads that was published for the board and the dtype.

The cost of each class of instructions, in cycles, minimizes the relative error of the latencies. It is also pulled
towards one common cost, because there are few networks. Each network is left out once, with both dtypes apart, and
predicted by a fit to the others.

The script writes results/latency-model.json (kind "latency-fit"), and latency_model.json for ``edgefer bench
--estimate`` if the mean error is at most 40 % on every board.
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
from edgefer.fleet.latency_model import KIND, MODEL_FILE, SCHEMA_VERSION, LatencyModel
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
    """A published latency with one thread, measured or scaled.

    Attributes:
        network: key of NETWORKS and dtype, such as "mobilenet_v1-int8".
        processor: key of BOARDS.
        latency_ms: milliseconds with one thread.
        threads: threads of the publication.
    """

    network: str
    processor: str
    latency_ms: float
    threads: int


def main() -> None:
    """Count, fit, validate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", type=Path, nargs="?", help="script that runs the emulated board")
    parser.add_argument("folder", type=Path, nargs="?", help="folder of the board")
    options = parser.parse_args()
    rows = json.loads(PUBLISHED.read_text())["latencies"]
    latencies = single_thread_latencies(rows)
    if options.script is None:
        counts = _read_counts(json.loads(FITTED.read_text())["counts"])
    else:
        counts = _count(EmulatedBoard(options.script, options.folder), latencies)
    fits = {processor: fit_board(processor, latencies, counts) for processor in BOARDS}
    record = {
        **schema.header("latency-fit", 1),
        "counts": {
            network: {processor: asdict(number) for processor, number in boards.items()}
            for network, boards in counts.items()
        },
        "boards": {
            processor: {**model.to_json(), "predictions": predictions}
            for processor, (model, predictions) in fits.items()
        },
    }  # fmt: skip
    files.write_text(FITTED, json.dumps(record, indent=1) + "\n")
    for model, _ in fits.values():
        print(f"{model.board}: mean error {100 * model.error:.0f} % of {model.networks} latencies")  # noqa: T201
    if any(model.error > MAX_ERROR for model, _ in fits.values()):
        sys.exit(f"the mean error is above {100 * MAX_ERROR:.0f} %; {MODEL_FILE} stays as it is")
    models = {processor: model.to_json() for processor, (model, _) in fits.items()}
    header = schema.header(KIND, SCHEMA_VERSION)
    files.write_text(MODEL_FILE, json.dumps({**header, "processors": models}, indent=1) + "\n")


def single_thread_latencies(rows: Sequence[Mapping[str, Any]]) -> list[Latency]:
    """Return the latencies to fit, with one thread; rows with "scale_only" only serve the ratio of four threads to one.

    Args:
        rows: published latencies: network, dtype, processor, source, latency_ms and threads.
    """
    groups: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    for row in rows:
        groups[row["network"], row["dtype"], row["processor"], row["source"]][row["threads"]] = row["latency_ms"]
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (_, dtype, processor, _), by_threads in groups.items():
        if {1, 4} <= set(by_threads):
            ratios[processor, dtype].append(by_threads[1] / by_threads[4])
    latencies = []
    for row in rows:
        has_one = 1 in groups[row["network"], row["dtype"], row["processor"], row["source"]]
        if row.get("scale_only") or (row["threads"] != 1 and has_one):
            continue
        ratio = 1.0 if row["threads"] == 1 else statistics.median(ratios[row["processor"], row["dtype"]])
        name = f"{row['network']}-{row['dtype']}"
        latencies.append(Latency(name, row["processor"], row["latency_ms"] * ratio, row["threads"]))
    return latencies


def fit_board(
    processor: str, latencies: Sequence[Latency], counts: Counts
) -> tuple[LatencyModel, list[dict[str, Any]]]:
    """Fit the costs of a board, and predict each network by a fit to the others.

    Returns:
        The model, and one prediction per latency: network, threads, latency_ms and predicted_ms.
    """
    board, clock_ghz = BOARDS[processor]
    rows = [latency for latency in latencies if latency.processor == processor]
    numbers = np.array([[getattr(counts[row.network][processor], name) for name in CLASSES] for row in rows], float)
    measured = np.array([row.latency_ms for row in rows])
    # Milliseconds per instruction of a cycle.
    numbers /= clock_ghz * 1e6
    predictions = []
    for index, row in enumerate(rows):
        others = np.array([other.network != row.network for other in rows])
        predicted = float(numbers[index] @ fit_cycles(numbers[others], measured[others]))
        predictions.append(
            {"network": row.network, "threads": row.threads, "latency_ms": row.latency_ms, "predicted_ms": predicted}
        )
    errors = [abs(entry["predicted_ms"] / entry["latency_ms"] - 1) for entry in predictions]
    cycles = dict(zip(CLASSES, map(float, fit_cycles(numbers, measured))))
    return LatencyModel(board, clock_ghz, cycles, float(np.mean(errors)), len(rows)), predictions


def fit_cycles(numbers: np.ndarray, latencies: np.ndarray) -> np.ndarray:
    """Return the cost of each class, at least 0, that minimizes the relative error.

    Args:
        numbers: (n, classes) instructions of each class, in a unit in which a cost of 1 takes one unit of time.
        latencies: (n,) times.
    """
    relative, classes = numbers / latencies[:, None], numbers.shape[1]
    # The last unknown is the common cost.
    weight = np.sqrt(SHRINKAGE * len(latencies)) * relative.sum(axis=1).mean() / classes
    pull = weight * np.hstack([np.eye(classes), -np.ones((classes, 1))])
    system = np.vstack([np.hstack([relative, np.zeros((len(latencies), 1))]), pull])
    solution, _ = nnls(system, np.concatenate([np.ones(len(latencies)), np.zeros(classes)]))
    return np.asarray(solution[:classes])


def _count(board: EmulatedBoard, latencies: Sequence[Latency]) -> Counts:
    from public_networks import NETWORKS, convert

    board.prepare()
    needed: dict[str, set[str]] = defaultdict(set)
    for latency in latencies:
        needed[latency.network].add(latency.processor)
    counts: Counts = {}
    for name, processors in needed.items():
        network, _, dtype = name.rpartition("-")
        content = convert(NETWORKS[network](), dtype)
        counts[name] = {
            processor: board.count(content, processor=processor, runtime="litert", runs=1)
            for processor in sorted(processors)
        }
        print(f"{name}: {', '.join(f'{key} {count.total:,}' for key, count in counts[name].items())}")  # noqa: T201
    return counts


def _read_counts(fields: Mapping[str, Any]) -> Counts:
    return {
        network: {processor: InstructionCounts(**number) for processor, number in boards.items()}
        for network, boards in fields.items()
    }


if __name__ == "__main__":
    main()

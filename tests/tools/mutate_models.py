"""Damage model files in many ways and see what becomes of ``edgefer inspect``: no hang, no crash here, no memory gone.

    python tests/tools/mutate_models.py --count 10000 MODEL.tflite...
    python tests/tools/mutate_models.py --count 50 --whole MODEL.tflite...   # by inspect_apart(), a new Python each

Each mutant is inspected in a forked child of its own, with the limits of memory and time that inspect_apart() sets. A
fork takes milliseconds where a new Python takes a second, and isolates as well: a child's crash, its peak memory
(wait4) and its time are its own. What counts as failed: a child that is still running when its time is up, one that
took more than a GiB, one that ended with an exception that is no EdgeferError, and anything that reaches this process.
A crash of the interpreter is an outcome: inspect_apart() makes a message of it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import select
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from edgefer.errors import EdgeferError
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.flatbuffer import SCHEMA
from edgefer.inspection.inspector import inspect_in_process
from edgefer.inspection.sandbox import MEMORY_BYTES, inspect_in_subprocess

__all__ = ["MUTATIONS", "Outcome", "mutate", "run_forked"]

GIB = 2**30
HOSTILE = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x40000000, 0x10000000, 0x00FFFFFF, 0x0000FFFF, 0)


def _flip(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        model[rng.randrange(len(model))] ^= 1 << rng.randrange(8)
    return model


def _flip_structure(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """As _flip(), in the first and last 2 KiB of the flatbuffer, where tables lie and not weights."""
    end = _flatbuffer_end(model)
    places = [*range(min(2048, end)), *range(max(0, end - 2048), end)]
    for _ in range(rng.choice((1, 2, 8))):
        model[rng.choice(places)] = rng.randrange(256)
    return model


def _truncate(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    return model[: rng.randrange(len(model))]


def _splice(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    begin = rng.randrange(len(other))
    piece = other[begin : begin + rng.randrange(1, 4096)]
    at = rng.randrange(len(model))
    model[at : at + len(piece)] = piece
    return model


def _insert(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    at = rng.randrange(len(model))
    model[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4, 100))))
    return model


def _swap_offsets(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Exchange words that look like offsets: small, positive and aligned."""
    end = _flatbuffer_end(model)
    words = [at for at in range(0, end - 3, 4) if 0 < struct.unpack_from("<I", model, at)[0] < end]
    for _ in range(rng.choice((1, 2, 4))):
        one, two = rng.choice(words), rng.choice(words)
        model[one : one + 4], model[two : two + 4] = model[two : two + 4], model[one : one + 4]
    return model


def _hostile_length(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Overwrite small words, most of which are lengths, dimensions and numbers of tensors."""
    end = _flatbuffer_end(model)
    words = [at for at in range(0, end - 3, 4) if struct.unpack_from("<I", model, at)[0] < 4096]
    for _ in range(rng.choice((1, 1, 3))):
        struct.pack_into("<I", model, rng.choice(words), rng.choice((*HOSTILE, rng.randrange(1, 5000))))
    return model


def _nudge(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Small words a little larger or smaller: other operators, tensors, dimensions and options, and offsets kept."""
    end = _flatbuffer_end(model)
    words = [at for at in range(0, end - 3, 4) if struct.unpack_from("<I", model, at)[0] < 512]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.choice(words)
        value = struct.unpack_from("<I", model, at)[0] + rng.choice((-2, -1, 1, 2, 16, 100))
        struct.pack_into("<I", model, at, value & 0xFFFFFFFF)
    return model


def _zip_tail(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Damage what lies behind the flatbuffer; a file without a contract gets the other's, damaged."""
    end = _flatbuffer_end(model)
    if end == len(model):
        model += other[_flatbuffer_end(other) :]
    if end == len(model):
        return _truncate(model, other, rng)
    for _ in range(rng.choice((1, 4, 32))):
        model[rng.randrange(end, len(model))] = rng.randrange(256)
    return model if rng.random() < 0.7 else model[: rng.randrange(end, len(model))]


def _graft_directory(model: bytearray, other: bytes, rng: random.Random) -> bytearray:
    """Hostile values in the directory at the end of the ZIP, where sizes and offsets stand."""
    at = model.rfind(b"PK\x01\x02")
    if at < 0:
        return _zip_tail(model, other, rng)
    for _ in range(rng.choice((1, 2, 5))):
        struct.pack_into("<I", model, rng.randrange(at, len(model) - 4), rng.choice(HOSTILE))
    return model


MUTATIONS: dict[str, Callable[[bytearray, bytes, random.Random], bytearray]] = {
    "flip": _flip,
    "flip structure": _flip_structure,
    "truncate": _truncate,
    "splice": _splice,
    "insert": _insert,
    "swap offsets": _swap_offsets,
    "hostile length": _hostile_length,
    "nudge": _nudge,
    "zip tail": _zip_tail,
    "zip directory": _graft_directory,
}


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        kind: "inspected" and whether it runs, the name of an EdgeferError, "crash SIGSEGV" and the like,
            "MemoryError", "hang", or "uncaught" with the name of an exception that should not have come through.
        peak_bytes: largest memory of the child.
        seconds: how long it took.
        detail: the message.
    """

    kind: str
    peak_bytes: int
    seconds: float
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether this must not happen."""
        return self.kind == "hang" or self.kind.startswith("uncaught") or self.peak_bytes > GIB


def mutate(models: list[bytes], seed: int) -> tuple[str, bytes]:
    """Mutant number ``seed`` of ``models``: the name of what was done, and the content."""
    rng = random.Random(seed)
    name = list(MUTATIONS)[seed % len(MUTATIONS)]
    model, other = rng.choice(models), rng.choice(models)
    return name, bytes(MUTATIONS[name](bytearray(model), other, rng))


def run_forked(path: Path, *, timeout_s: float = 20.0) -> Outcome:
    """dissect() on ``path`` in a forked child with the limits of inspect_apart()."""
    reading, writing = os.pipe()
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(path, writing)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], timeout_s)
    if not ready:
        os.kill(child, signal.SIGKILL)
    said = os.read(reading, 4096).decode("utf-8", "replace") if ready else ""
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    seconds, peak_bytes = time.monotonic() - begin, usage.ru_maxrss * 1024
    if not ready:
        return Outcome("hang", peak_bytes, seconds)
    if os.WIFSIGNALED(status):
        return Outcome(f"crash {signal.Signals(os.WTERMSIG(status)).name}", peak_bytes, seconds)
    kind, _, detail = said.partition("\n")
    return Outcome(kind or f"uncaught exit {os.waitstatus_to_exitcode(status)}", peak_bytes, seconds, detail)


def _in_child(path: Path, writing: int) -> None:
    """Never returns; no exception may go on into the code of the parent's loop."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        inspection = inspect_in_process(path)
        json.dumps(inspection.to_json(), allow_nan=False)
        runs = inspection.first_run == "ok"
        said = f"inspected, {'runs' if runs else 'does not run'}\n{inspection.contract.status}; {inspection.first_run}"
    except EdgeferError as error:
        said = f"{type(error).__name__}\n{error.what}: {error.why}"
    except MemoryError:
        said = "MemoryError"
    except BaseException as error:  # noqa: BLE001 - what this tool looks for
        said = f"uncaught {type(error).__name__}\n{error}"
    os.write(writing, said.encode("utf-8", "replace")[:4000])
    os._exit(0)


def _run_whole(path: Path) -> Outcome:
    """inspect_apart(), as the command calls it."""
    begin = time.monotonic()
    try:
        inspect_in_subprocess(path)
        kind, detail = "inspected", ""
    except EdgeferError as error:
        kind, detail = type(error).__name__, f"{error.what}: {error.why}"
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return Outcome(kind, peak_bytes, time.monotonic() - begin, detail)


def _flatbuffer_end(model: bytes | bytearray) -> int:
    at = model.find(b"PK\x03\x04")
    return at if at > 0 else len(model)


def main() -> int:
    """Run the mutants that were asked for and print the counts; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--whole", action="store_true", help="a new Python for each, as the command does it")
    parser.add_argument("--keep", type=Path, help="folder for mutants that failed")
    options = parser.parse_args()
    models = [path.read_bytes() for path in options.models]
    # Here once, rather than in each child.
    select_runtime("litert").load()
    importlib.import_module(SCHEMA)
    outcomes: Counter[tuple[str, str]] = Counter()
    worst_bytes, worst_s, failures = 0, 0.0, 0
    with tempfile.TemporaryDirectory(prefix="edgefer-mutants-") as folder:
        path = Path(folder, "mutant.tflite")
        for seed in range(options.first, options.first + options.count):
            name, content = mutate(models, seed)
            path.write_bytes(content)
            outcome = _run_whole(path) if options.whole else run_forked(path)
            outcomes[name, outcome.kind] += 1
            worst_bytes, worst_s = max(worst_bytes, outcome.peak_bytes), max(worst_s, outcome.seconds)
            if outcome.failed:
                failures += 1
                print(f"mutant {seed} ({name}): {outcome.kind} {outcome.detail[:300]}", flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{seed}.tflite").write_bytes(content)
    for (name, kind), count in sorted(outcomes.items()):
        print(f"{name:16} {kind:30} {count:6}")
    print(f"{options.count} mutants, {failures} failed; at most {worst_bytes / 2**20:.0f} MiB and {worst_s:.2f} s each")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

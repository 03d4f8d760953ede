"""Run a benchmark for another machine: read a plan from stdin, write events to stdout.

    python edgefer.pyz job                          # started over SSH by edgefer.fleet.remote_benchmark
    serve(sys.stdin.buffer, sys.stdout.buffer)

Each line in either direction is one JSON object. The request is {"job": plan, "device": name}; an empty line every few
seconds follows as a heartbeat. The replies are "progress" and "measurement" events, then one "result" or "error". An
error after the last round has the result so far.

A connection can break without notice on either side. The benchmark therefore ends when stdin closes, on a signal, and
after SILENCE_S seconds without a heartbeat. No process is left running on the device.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from edgefer.benchmark.isolation import benchmark_lock
from edgefer.benchmark.session import run_benchmark
from edgefer.errors import EdgeferError
from edgefer.processes import error_to_json
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.benchmark_plan import BenchmarkPlan
from edgefer.results.schema import Fields, parse_json

__all__ = ["SILENCE_S", "main", "read_event", "serve"]

SILENCE_S = 20.0
# Time for an interrupted benchmark to end its workers before this process exits.
GRACE_S = 5.0
PROGRESS_INTERVAL_S = 0.5
# Start of every event, as json.dumps() writes it.
EVENT = b'{"event": '

Send = Callable[..., None]


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> int:
    """Run the benchmark plan in the first line of ``incoming``, and return the exit code.

    Raises:
        KeyboardInterrupt: the client has disconnected.
    """
    send = _sender(outgoing)
    samples, partial = False, list[BenchmarkResult]()
    try:
        fields = json.loads(incoming.readline())
        plan, device = BenchmarkPlan.from_json(fields["job"]), str(fields["device"])
        samples = plan.samples
        _end_with(incoming)
        with benchmark_lock():
            result = run_benchmark(
                plan,
                device=device,
                progress=_throttled_progress(send),
                on_measurement=lambda measurement: send("measurement", measurement=measurement.to_json()),
                on_partial=partial.append,
            )
    except EdgeferError as error:
        complete = {"benched": partial[-1].to_json(samples=samples)} if partial else {}
        send("error", **error_to_json(error), **complete)
        return error.exit_code
    send("result", benched=result.to_json(samples=samples))
    return 0


def _sender(outgoing: BinaryIO) -> Send:
    lock = threading.Lock()

    def send(event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with lock:
            outgoing.write(line)
            outgoing.flush()

    return send


def _throttled_progress(send: Send) -> Callable[[int, int, str], None]:
    last = -PROGRESS_INTERVAL_S

    def progress(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or now - last >= PROGRESS_INTERVAL_S:
            last = now
            send("progress", done=done, total=total, note=note)

    return progress


def _end_with(incoming: BinaryIO) -> None:
    """Interrupt the main thread when ``incoming`` closes or the heartbeats stop; exit if it does not react."""
    heartbeat = threading.Event()

    def listen() -> None:
        while incoming.readline():
            heartbeat.set()
        _interrupt()

    def watch() -> None:
        while heartbeat.wait(SILENCE_S):
            heartbeat.clear()
        _interrupt()

    for task in (listen, watch):
        threading.Thread(target=task, daemon=True).start()


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    # The measuring processes end with their parent.
    os._exit(1)


def main() -> NoReturn:
    """Serve one benchmark on stdin and stdout, and exit the process."""
    # A shell ignores SIGINT in background processes. SIGTERM and SIGHUP must end the benchmark in the same way.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        code = serve(sys.stdin.buffer, sys.stdout.buffer)
    except (KeyboardInterrupt, BrokenPipeError):
        code = 130  # the client has disconnected
    # A normal exit would wait for the thread that reads stdin.
    sys.stderr.flush()
    os._exit(code)


def read_event(line: bytes) -> Fields:
    """Parse one line from serve(); other output may precede the event on its line.

    Raises:
        ValueError: the line is incomplete, or other output of the device.
        DataError: the event is damaged.
    """
    _, start, event = line.partition(EVENT)
    if not start or not line.endswith(b"\n"):
        raise ValueError(f"not an event: {line[:80]!r}")
    fields = Fields(parse_json(start + event), "event")
    fields.text("event")
    return fields

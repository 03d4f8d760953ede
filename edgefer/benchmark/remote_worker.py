"""The board's end of a bench that another machine asked for: a job comes in on stdin, events go out on stdout.

    python edgefer.pyz job                          # what edgefer.fleet.remote_benchmark starts over SSH
    serve(sys.stdin.buffer, sys.stdout.buffer)

Both ways one JSON object a line. In comes {"job": ..., "device": name}, and after it an empty line every few seconds as
a sign of life. Out go "progress", "measurement", and at the end "result" or "error".

A link can end without a word to either side. So the bench ends when stdin does, when it is told to, and when no sign of
life came for SILENCE_S; nothing is left running here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NoReturn

from edgefer.benchmark.isolation import benchmark_lock
from edgefer.benchmark.session import run_benchmark
from edgefer.errors import EdgeferError
from edgefer.processes import error_to_json
from edgefer.results.benchmark import BenchmarkPlan
from edgefer.results.measurement import Measurement

__all__ = ["SILENCE_S", "main", "serve"]

SILENCE_S = 20.0
# How long an interrupted bench may take to end its workers before everything is killed.
GRACE_S = 5.0
PROGRESS_INTERVAL_S = 0.5

Send = Callable[..., None]


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> int:
    """Carry out the one job that comes in; the exit code.

    Raises:
        KeyboardInterrupt: the other side is gone.
    """
    send = _sender(outgoing)
    try:
        fields = json.loads(incoming.readline())
        job, device = BenchmarkPlan.from_json(fields["job"]), str(fields["device"])
        _end_with(incoming)
        with benchmark_lock():
            benched = run_benchmark(job, device=device, progress=_progress(send), on_measurement=_measurement(send))
    except EdgeferError as error:
        send("error", **error_to_json(error))
        return error.exit_code
    send("result", benched=benched.to_json(samples=job.samples))
    return 0


def _sender(outgoing: BinaryIO) -> Send:
    lock = threading.Lock()

    def send(event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with lock:
            outgoing.write(line)
            outgoing.flush()

    return send


def _progress(send: Send) -> Callable[[int, int, str], None]:
    last = -PROGRESS_INTERVAL_S

    def progress(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or now - last >= PROGRESS_INTERVAL_S:
            last = now
            send("progress", done=done, total=total, note=note)

    return progress


def _measurement(send: Send) -> Callable[[Measurement], None]:
    return lambda measurement: send("measurement", measurement=measurement.to_json())


def _end_with(incoming: BinaryIO) -> None:
    """Interrupt the main thread when ``incoming`` ends or falls silent, and end the process if that does not help."""
    heard = threading.Event()

    def listen() -> None:
        while incoming.readline():
            heard.set()
        _interrupt()

    def watch() -> None:
        while heard.wait(SILENCE_S):
            heard.clear()
        _interrupt()

    for task in (listen, watch):
        threading.Thread(target=task, daemon=True).start()


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    # The benches below end with their parent.
    os._exit(1)


def main() -> NoReturn:
    """As ``edgefer.pyz job``; ends the process."""
    # A shell starts what it puts into the background with SIGINT ignored; a hang-up shall do the same as an interrupt.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        code = serve(sys.stdin.buffer, sys.stdout.buffer)
    except (KeyboardInterrupt, BrokenPipeError):
        code = 130  # nobody is there to be told
    # A thread still reads stdin, for which Python's own way to end would wait.
    sys.stderr.flush()
    os._exit(code)


def read_event(line: bytes) -> Mapping[str, Any]:
    """One line that serve() wrote.

    Raises:
        ValueError: it was cut short, or is something else that the device printed.
    """
    event = json.loads(line)
    if not isinstance(event, dict) or "event" not in event:
        raise ValueError(f"no event: {line[:80]!r}")
    return event

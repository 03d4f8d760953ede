"""Run commands of edgefer on thousands of damaged inputs and check how each of them ends.

    tally = run_inputs(fuzz_pictures, first=1, count=2000)
    tally.failures, tally.cpu_s

A kind of input is a module with two functions: ``prepare(folder)`` writes the files that all inputs need, and
``make(folder, seed)`` writes one input below ``folder / "input"`` and returns a Case. Equal seeds give inputs that are
equal but for the time in archives.

Forked processes run batches of inputs, so that an input takes milliseconds and not the second of a new Python. An input
that ends the process is reported, and the next batch begins after it. An input fails the check if a command on it

- ends by a signal, or takes longer than the time limit;
- takes more than a GiB of memory in this process or in one of its children;
- raises any error other than an EdgeferError with a hint, or prints a traceback;
- prints a control character, or a character that reverses the direction of text.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2

from edgefer import plugins
from edgefer.cli.main import COMMANDS, main as edgefer_main
from edgefer.errors import EdgeferError

__all__ = ["Case", "Kind", "Outcome", "Tally", "run_inputs"]

GIB = 2**30
TIMEOUT_S = 20.0
# An allocation beyond this limit fails in the process, where it would otherwise take the machine's memory.
ADDRESS_SPACE_BYTES = 4 * GIB
# A process ends after so many inputs, because memory that a library keeps would count for every later input.
BATCH = 400
INTERNAL_ERRORS = ("Traceback (most recent call last)", "the same command with --debug")
CRASHED = 99

# Words after "edgefer", or a function of the package that reads an input.
Command = tuple[str, ...] | Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One damaged input and the commands to run on it.

    Attributes:
        group: kind of damage; the counts use the part before a comma.
        commands: command lines and functions.
    """

    group: str
    commands: tuple[Command, ...]


class Kind(Protocol):
    """Module that makes one kind of input."""

    def prepare(self, folder: Path) -> None:
        """Write the files that all inputs need, and import the modules that the commands need."""

    def make(self, folder: Path, seed: int) -> Case:
        """Write an input to ``folder / "input"``, which exists and is empty."""


@dataclass(frozen=True)
class Outcome:
    """Result of one command on one input.

    Attributes:
        seed: seed of the input.
        group: kind of damage.
        command: the command line.
        problem: reason why the check failed; empty if it passed.
        exit_code: exit code, negative for a signal.
        peak_bytes: peak memory of the process or of its children so far, whichever is larger.
        seconds: duration.
        last_line: last line of the output.
    """

    seed: int
    group: str
    command: str
    problem: str = ""
    exit_code: int = 0
    peak_bytes: int = 0
    seconds: float = 0.0
    last_line: str = ""


class Tally:
    """Exit codes, failures and extremes of the commands on all inputs."""

    def __init__(self) -> None:
        self.exit_codes: Counter[tuple[str, int]] = Counter()
        self.inputs: set[int] = set()
        self.failures, self.peak_bytes, self.cpu_s = 0, 0, 0.0
        self.slowest = Outcome(0, "", "")

    def add(self, outcome: Outcome) -> None:
        """Count an outcome; print it if it failed the check."""
        self.inputs.add(outcome.seed)
        self.exit_codes[outcome.group.partition(",")[0], outcome.exit_code] += 1
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.slowest = max(self.slowest, outcome, key=lambda outcome: outcome.seconds)
        if outcome.problem:
            self.failures += 1
            place = f"input {outcome.seed} ({outcome.group}), {outcome.command}"
            print(f"{place}: {outcome.problem}: {outcome.last_line!r}", flush=True)

    def print_summary(self) -> None:
        """Print the exit codes of each group, and the totals."""
        for (group, code), count in sorted(self.exit_codes.items()):
            print(f"{group:24} exit code {code:4} {count:6}")
        memory, slowest = f"{self.peak_bytes / 2**20:.0f} MiB", self.slowest
        extremes = f"at most {memory}, and {slowest.seconds:.1f} s (input {slowest.seed})"
        print(f"{len(self.inputs)} inputs, {self.failures} failures; {extremes}; {self.cpu_s:.0f} s of CPU time")


def run_inputs(kind: Kind, *, first: int, count: int, timeout_s: float = TIMEOUT_S, keep: Path | None = None) -> Tally:
    """Check the inputs with the seeds ``first`` to ``first + count - 1``.

    Args:
        kind: module that makes the inputs.
        first: seed of the first input.
        count: number of inputs.
        timeout_s: time limit of one command in seconds.
        keep: folder for the inputs that fail the check, one subfolder per seed; None to keep none.
    """
    tally = Tally()
    _import_commands()
    begin = _cpu_s()
    with tempfile.TemporaryDirectory(prefix="edgefer-fuzz-") as name:
        folder = Path(name)
        kind.prepare(folder)
        seed = first
        while seed < first + count:
            failed = []
            for outcome in _run_batch(kind, range(seed, min(seed + BATCH, first + count)), folder, timeout_s):
                tally.add(outcome)
                seed = outcome.seed + 1
                failed += [outcome.seed] if outcome.problem else []
            for failed_seed in failed if keep is not None else ():
                _keep(kind, failed_seed, folder, keep)
    tally.cpu_s = _cpu_s() - begin
    return tally


def _import_commands() -> None:
    # Every batch would import them again. The thread pool of OpenCV would not survive a fork.
    cv2.setNumThreads(0)
    for command in plugins.names(COMMANDS):
        plugins.load(COMMANDS, command)


def _cpu_s() -> float:
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _keep(kind: Kind, seed: int, folder: Path, keep: Path) -> None:
    """Write a failed input again, to a folder that stays."""
    _fresh_input(folder)
    kind.make(folder, seed)
    shutil.copytree(folder / "input", keep / str(seed), symlinks=True, copy_function=_copy, dirs_exist_ok=True)


def _copy(source: str, target: str) -> None:
    # Not the pipes.
    if Path(source).is_file():
        shutil.copy2(source, target)


def _fresh_input(folder: Path) -> None:
    if (folder / "input").exists():
        shutil.rmtree(folder / "input")
    (folder / "input").mkdir()


def _run_batch(kind: Kind, seeds: range, folder: Path, timeout_s: float) -> Iterator[Outcome]:
    """Run inputs in a forked process; end at the first one that ends or spoils the process."""
    sys.stdout.flush()
    reading, writing = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(reading)
        _work(kind, seeds, folder, timeout_s, writing)
    os.close(writing)
    started: Outcome | None = None
    with os.fdopen(reading, encoding="utf-8") as lines:
        for line in lines:
            event = Outcome(**json.loads(line))
            # The first line of a command announces it, the second one has its result.
            started = event if started is None else None
            if started is None:
                yield event
    _, status, usage = os.wait4(worker, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    if started is not None:
        ended = "exit" if code >= 0 else signal.Signals(-code).name
        problem = f"hang of more than {timeout_s:g} s" if code == -signal.SIGALRM else f"ended by {ended}"
        output = _read_output(folder)
        yield Outcome(
            started.seed, started.group, started.command, problem, code, usage.ru_maxrss * 1024, timeout_s,
            _last_line(output),
        )  # fmt: skip
    elif code != 0:
        raise RuntimeError(f"the fuzzer itself ended with exit code {code}")


def _work(kind: Kind, seeds: range, folder: Path, timeout_s: float, pipe: int) -> None:
    """Run inputs and end this process; no exception may reach the loop of the parent."""
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        space = pages * resource.getpagesize() + ADDRESS_SPACE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        stderr = os.dup(2)
        base_bytes = _peak_bytes()
        for seed in seeds:
            _fresh_input(folder)
            case = kind.make(folder, seed)
            for command in case.commands:
                outcome = _run_command(command, Outcome(seed, case.group, _words(command)), folder, timeout_s, pipe)
                if outcome.peak_bytes > base_bytes + GIB:
                    # The peak never falls again in this process.
                    os._exit(0)
    except BaseException:  # noqa: BLE001 - an error of the fuzzer
        os.write(stderr if "stderr" in locals() else 2, traceback.format_exc().encode())
        os._exit(CRASHED)
    os._exit(0)


def _run_command(command: Command, started: Outcome, folder: Path, timeout_s: float, pipe: int) -> Outcome:
    _send(pipe, started)
    _redirect_output(folder)
    begin, base_bytes = time.monotonic(), _peak_bytes()
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    exit_code = _call(command)
    signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - begin
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    output, peak_bytes = _read_output(folder), _peak_bytes()
    problem = find_problem(exit_code, output, needs_hint=not callable(command))
    if not problem and peak_bytes > max(base_bytes, GIB):
        problem = f"{peak_bytes / 2**20:.0f} MiB of memory"
    facts: dict[str, Any] = {**asdict(started), "problem": problem, "exit_code": exit_code, "peak_bytes": peak_bytes}
    outcome = Outcome(**{**facts, "seconds": seconds, "last_line": _last_line(output)})
    _send(pipe, outcome)
    return outcome


def _call(command: Command) -> int:
    """Run a command in this process and return its exit code; print an error that is not an EdgeferError."""
    try:
        if callable(command):
            command()
            return 0
        sys.argv = ["edgefer", *command]
        edgefer_main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except EdgeferError as error:
        print(f"edgefer: {error}")
        return error.exit_code
    except BaseException:  # noqa: BLE001 - reported as a problem
        traceback.print_exc()
        return CRASHED
    return 0


def _redirect_output(folder: Path) -> None:
    # A file is no terminal, so nothing is colored.
    handle = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((handle, 1), (handle, 2), (nothing, 0)):
        os.dup2(source, target)
    os.close(handle)
    os.close(nothing)
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def find_problem(exit_code: int, output: str, *, needs_hint: bool = True) -> str:
    """Return why the end of a command fails the check, or ""; an error of a function may lack a hint."""
    if exit_code < 0:
        return f"ended by {signal.Signals(-exit_code).name}"
    if any(text in output for text in INTERNAL_ERRORS) or exit_code == CRASHED:
        return "internal error"
    control = next((character for character in output if _is_control(character)), None)
    if control is not None:
        return f"control character {control!r} in the output"
    # click words the errors of options.
    if exit_code == 0 or not needs_hint or "  try: " in output or "Usage: " in output:
        return ""
    return "error without a hint"


def _is_control(character: str) -> bool:
    # "Cs" are bytes that are not UTF-8, "Cf" includes those that reverse the direction of text.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character != "\n"


def _peak_bytes() -> int:
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return max(usage.ru_maxrss for usage in usages) * 1024


def _send(pipe: int, outcome: Outcome) -> None:
    os.write(pipe, json.dumps(asdict(outcome)).encode() + b"\n")


def _words(command: Command) -> str:
    if callable(command):
        return getattr(command, "__qualname__", "") or repr(command)
    return " ".join(command)


def _read_output(folder: Path) -> str:
    path = folder / "output.txt"
    return path.read_text("utf-8", "surrogateescape") if path.exists() else ""


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1][:300]

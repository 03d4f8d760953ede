"""Run commands of edgefer on mutated models and check that every damage ends in one sentence.

    python -m tests.tools.fuzz_models --count 1000 --commands inspect,predict,evaluate
    python -m tests.tools.fuzz_models --first 4711 --count 1 --keep /tmp/mutants      # repeat one mutant

Each command runs in a forked child of this process, which has imported edgefer already, so that a mutant takes
milliseconds and not the second of a new Python. A command fails the check if it ends by a signal, runs longer than the
time limit, takes more than a GiB (with its own children), reports an internal error, or prints a control character.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

from edgefer.cli.main import main as edgefer_main
from edgefer.data.synthetic import golden_faces
from edgefer.models import shipped
from edgefer.plugins import names
from tests.tools.model_mutations import mutate

__all__ = ["COMMANDS", "Outcome", "prepare_folder", "run_command"]

GIB = 2**30
TIMEOUT_S = 20.0
# Arguments by command; MODEL stands for the path of the mutant.
COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "MODEL"),
    "inspect-json": ("inspect", "MODEL", "--json"),
    "predict": ("predict", "face.png", "--no-detect", "--model", "MODEL"),
    "predict-json": ("predict", "face.png", "--no-detect", "--model", "MODEL", "--json"),
    "evaluate": ("evaluate", "MODEL", "--data", "faces.npz"),
    "bench": ("bench", "MODEL", "--runs", "2", "--seconds", "0"),
    "verify": ("verify", "MODEL", "--threads", "1", "--runtime", "litert"),
    "export": ("export", "MODEL", "--zip", "--c-array", "--output-dir", "out"),
    "report": ("report", "MODEL", "--html", "report.html"),
}


@dataclass(frozen=True)
class Outcome:
    """Result of one command on one mutant.

    Attributes:
        problem: reason why the check failed; empty if it passed.
        exit_code: exit code, negative for a signal.
        peak_bytes: peak memory of the command or of its children, whichever is larger.
        seconds: duration.
        output: standard output and standard error.
    """

    problem: str
    exit_code: int
    peak_bytes: int
    seconds: float
    output: str


def prepare_folder(folder: Path) -> None:
    """Write the image and the data set that the commands read."""
    faces = golden_faces(9)
    cv2.imwrite(str(folder / "face.png"), faces[0])
    usage = np.array(["Training", "PublicTest", "PrivateTest"] * 3)
    np.savez(folder / "faces.npz", pixels=faces, emotion=np.arange(9) % 7, usage=usage)
    # Every child would import them again.
    for command in names("edgefer.cli.commands"):
        importlib.import_module(f"edgefer.cli.commands.{command}")
    for module in ("edgefer.inspection.parity", "edgefer.inference.pipeline", "edgefer.benchmark.session"):
        importlib.import_module(module)


def run_command(arguments: Sequence[str], folder: Path, *, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Run a command of edgefer in ``folder`` in a forked child and check how it ends."""
    output_path = folder / "output.txt"
    reading, writing = os.pipe()
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_in_child(arguments, folder, output_path)
    os.close(writing)
    # The pipe closes when the child ends.
    ready, _, _ = select.select([reading], [], [], timeout_s)
    if not ready:
        os.killpg(child, signal.SIGKILL)
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    seconds, exit_code = time.monotonic() - begin, os.waitstatus_to_exitcode(status)
    output = output_path.read_text("utf-8", "surrogateescape") if output_path.exists() else ""
    peak_bytes = usage.ru_maxrss * 1024
    problem = "" if ready else f"hang of more than {timeout_s:g} s"
    return Outcome(problem or _check(exit_code, peak_bytes, output), exit_code, peak_bytes, seconds, output)


def _run_in_child(arguments: Sequence[str], folder: Path, output_path: Path) -> None:
    """Run the command and end this process; no exception may reach the loop of the parent."""
    code = 99
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        handle = os.open(output_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.argv = ["edgefer", *arguments]
        edgefer_main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - reported as a problem
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _check(exit_code: int, peak_bytes: int, output: str) -> str:
    if exit_code < 0:
        return f"ended by {signal.Signals(-exit_code).name}"
    if "Traceback (most recent call last)" in output or "the same command with --debug" in output or exit_code == 99:
        return "internal error"
    if peak_bytes > GIB:
        return f"{peak_bytes / 2**20:.0f} MiB of memory"
    control = next((character for character in output if _is_control(character)), None)
    return "" if control is None else f"control character {control!r} in the output"


def _is_control(character: str) -> bool:
    # "Cs" are bytes that are not UTF-8, "Cf" includes those that reverse the direction of text.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character != "\n"


class Tally:
    """Exit codes, failures and extremes of all commands that a fuzzer has run."""

    def __init__(self) -> None:
        self.exit_codes: Counter[tuple[str, int]] = Counter()
        self.failures, self.peak_bytes, self.longest_s = 0, 0, 0.0

    def add(self, group: str, mutant: str, outcome: Outcome) -> None:
        """Count an outcome under ``group``; print it if it failed the check."""
        self.exit_codes[group, outcome.exit_code] += 1
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.longest_s = max(self.longest_s, outcome.seconds)
        if outcome.problem:
            self.failures += 1
            last = (outcome.output.strip().splitlines() or [""])[-1]
            print(f"{mutant}: {outcome.problem}: {last[:200]!r}", flush=True)

    def print_summary(self, mutants: int) -> None:
        """Print the exit codes of each group, and the totals."""
        for (group, code), count in sorted(self.exit_codes.items()):
            print(f"{group:14} exit code {code:4} {count:6}")
        memory = f"{self.peak_bytes / 2**20:.0f} MiB"
        print(f"{mutants} mutants, {self.failures} failures; at most {memory} and {self.longest_s:.1f} s")


def main() -> int:
    """Run the requested mutants and print the counts; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="number of mutants")
    parser.add_argument("--first", type=int, default=0, help="seed of the first mutant")
    parser.add_argument("--commands", default="inspect,predict,evaluate", help=f"of {', '.join(COMMANDS)}")
    parser.add_argument("--keep", type=Path, help="folder for mutants that fail the check")
    parser.add_argument("models", nargs="*", type=Path, help="models with a contract; default: a shipped one")
    options = parser.parse_args()
    models = [path.read_bytes() for path in options.models or [shipped()["nano"]]]
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="edgefer-fuzz-") as name:
        folder = Path(name)
        prepare_folder(folder)
        for seed in range(options.first, options.first + options.count):
            mutation, content = mutate(models, seed)
            (folder / "mutant.tflite").write_bytes(content)
            for command in options.commands.split(","):
                arguments = ["mutant.tflite" if part == "MODEL" else part for part in COMMANDS[command]]
                outcome = run_command(arguments, folder)
                tally.add(command, f"mutant {seed} ({mutation}), {command}", outcome)
                if outcome.problem and options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{seed}.tflite").write_bytes(content)
    tally.print_summary(options.count)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())

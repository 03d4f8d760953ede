"""An emulated arm64 board, which counts the instructions of a model by class.

    board = open_emulated_board({"script": "board.sh", "folder": "board"})
    board.prepare()
    board.count(content, processor="pi4", runtime="litert").total

A program ``script`` with the verbs "build FOLDER", "count FOLDER" and "exec FOLDER COMMAND..." runs an arm64 Debian in
FOLDER under the user emulation of QEMU, and needs root. $BOARD_MODEL selects the processor. After "count", the folder
/opt/icount of the board contains qemu-aarch64 and its libraries, which run on this machine. instruction_classes.c is a
plug-in for it, and is compiled here.

Counts repeat to within a few hundred instructions of Python. Times under emulation mean nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgefer import files
from edgefer.deploy.bundle import bundle
from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.fleet.local_process import run_process
from edgefer.fleet.registry import EMULATED
from edgefer.results.instructions import InstructionCounts

__all__ = [
    "BOARD_FOLDER", "OPTIONS", "PROCESSORS", "PYTHONS", "SOURCE", "EmulatedBoard", "compile_plugin",
    "open_emulated_board",
]  # fmt: skip

# Cortex-A53 (also that of the Pi Zero 2 W), A72 and A76.
PROCESSORS = ("pi3", "pi4", "pi5")
# Interpreters on the board, by runtime.
PYTHONS = {"litert": "/opt/litert/bin/python", "tflite_runtime": "/opt/tflite/bin/python"}
OPTIONS = {"script": "program that builds and runs the board", "folder": "folder of the board"}
VARIABLES = {"script": "EDGEFER_EMULATOR", "folder": "EDGEFER_EMULATED"}
SOURCE = Path(__file__).with_name("instruction_classes.c")
BOARD_FOLDER = "/var/tmp/edgefer"
QEMU_FOLDER = "/opt/icount"
RUNS = 5
# Program on the board: MODEL RUNTIME RUNS; RUNS inferences before each of two marks.
COUNT = """
import os, sys
from pathlib import Path
import numpy as np
from edgefer.inference.runtime import select_runtime
runtime = select_runtime(sys.argv[2]).open_model(Path(sys.argv[1]).read_bytes(), threads=1)
face = np.zeros(runtime.input.shape, runtime.input.params.dtype)
def mark(tag):
    try:
        os.getsid(0x7E570000 + tag)  # The plug-in writes its totals at this call, which always fails.
    except OSError:
        pass
for tag in (0, 1):
    for _ in range(int(sys.argv[3])):
        runtime.set_input(face)
        runtime.invoke()
        runtime.get_output()
    mark(tag)
"""
MARK = re.compile(r"^instructions ([01]) (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)
MAX_MESSAGE = 300


class EmulatedBoard:
    """A board in a folder of this machine."""

    def __init__(self, script: Path, folder: Path) -> None:
        self._script, self._folder = script.resolve(), folder.resolve()

    def prepare(self, *, stop: threading.Event | None = None) -> None:
        """Build the board, which is quick if it exists, and copy edgefer and the counter to it.

        Raises:
            DeviceUnreachable: the script failed, or the plug-in does not compile.
        """
        for verb in ("build", "count"):
            self._call(verb, stop=stop)
        self.write("edgefer.pyz", bundle())
        self.write("count.py", COUNT.encode())
        self.write("instruction_classes.so", compile_plugin(SOURCE))

    def write(self, name: str, content: bytes) -> str:
        """Write a file to the board and return its path there."""
        files.write_bytes(self.local_path(name), content)
        return f"{BOARD_FOLDER}/{name}"

    def local_path(self, name: str) -> Path:
        """Return the path on this machine of a file that write() writes."""
        return self._folder / "rootfs" / BOARD_FOLDER.lstrip("/") / name

    def run(self, *command: str, processor: str, stop: threading.Event | None = None) -> str:
        """Run a command on the board, with edgefer on its import path, and return its output.

        Raises:
            DeviceUnreachable: the command failed, or ``stop`` was set.
        """
        environment = ("env", f"PYTHONPATH={BOARD_FOLDER}/edgefer.pyz")
        return self._call("exec", *environment, *command, processor=processor, stop=stop)

    def count(
        self, model: bytes, *, processor: str, runtime: str, python: str = "", runs: int = RUNS,
        stop: threading.Event | None = None,
    ) -> InstructionCounts:  # fmt: skip
        """Count the instructions of one inference (set, invoke and get) with one thread.

        Args:
            model: content of a .tflite; prepare() has been called.
            processor: one of PROCESSORS.
            runtime: a key of PYTHONS.
            python: interpreter on the board; empty for that of PYTHONS.
            runs: inferences to average, after as many to warm up.
            stop: setting it ends the emulation.

        Raises:
            DeviceUnreachable: the board does not run the model.
        """
        # A name of its own, because another command may use the board at the same time.
        name = f"{hashlib.sha256(model).hexdigest()}-{os.getpid()}.tflite"
        path = self.write(name, model)
        qemu = (
            f"{QEMU_FOLDER}/ld-linux-x86-64.so.2", "--library-path", QEMU_FOLDER, f"{QEMU_FOLDER}/qemu-aarch64",
            "-plugin", f"{BOARD_FOLDER}/instruction_classes.so",
        )  # fmt: skip
        # The file on the board names the processor that QEMU emulates.
        program = 'processor=$(cat /opt/qemu/cpu); qemu=$1; shift; exec $qemu -cpu "$processor" "$@"'
        count = (python or PYTHONS[runtime], f"{BOARD_FOLDER}/count.py", path, runtime, str(runs))
        try:
            output = self.run("sh", "-c", program, "sh", " ".join(qemu), *count, processor=processor, stop=stop)
        finally:
            self.local_path(name).unlink(missing_ok=True)
        marks = {tag: [int(total) for total in totals] for tag, *totals in MARK.findall(output)}
        if set(marks) != {"0", "1"}:
            hint = "build the board again in an empty folder"
            what = f"the emulated {processor} counted no instructions"
            raise DeviceUnreachable(what, why=_last_line(output), hint=hint)
        return InstructionCounts(*(round((after - before) / runs) for before, after in zip(marks["0"], marks["1"])))

    def _call(
        self, verb: str, *arguments: str, processor: str = "pi4", stop: threading.Event | None = None
    ) -> str:
        """Run the script and return its output."""
        command = ["bash", str(self._script), verb, str(self._folder), *arguments]
        environment = {**os.environ, "BOARD_MODEL": processor}
        with self._lock(is_shared=verb == "exec"):
            # QEMU is a descendant of the script, and ends with its process group.
            ended = run_process(command, name="the emulated board", stop=stop, environment=environment)
        output = (ended.stdout + ended.stderr).decode(errors="replace")
        if ended.exit_code:
            what = f"{self._script.name} {verb} {self._folder} failed with exit code {ended.exit_code}"
            raise DeviceUnreachable(what, why=_last_line(output), hint=f"BOARD_MODEL={processor} {shlex.join(command)}")
        return output

    @contextlib.contextmanager
    def _lock(self, *, is_shared: bool) -> Iterator[None]:
        """Wait until no other command builds the board; with ``is_shared`` False, until none uses it."""
        digest = hashlib.sha256(bytes(self._folder)).hexdigest()
        path = Path(tempfile.gettempdir(), f"edgefer-board-{digest}.lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def open_emulated_board(options: Mapping[str, str]) -> EmulatedBoard:
    """Open a board; prepare() builds it.

    Args:
        options: values of OPTIONS; $EDGEFER_EMULATOR and $EDGEFER_EMULATED are their defaults.

    Raises:
        UsageError: an option is missing, or the script does not exist.
    """
    values = {name: options.get(name) or os.environ.get(VARIABLES[name], "") for name in OPTIONS}
    example = f"{EMULATED}:script=board.sh,folder=board"
    for name, value in values.items():
        if not value:
            hint = f"{example}, or set ${VARIABLES[name]}"
            raise UsageError(f"the emulated board needs {name}", why=OPTIONS[name], hint=hint)
    script = Path(values["script"])
    if not script.is_file():
        raise UsageError(f"{script} does not exist", why=OPTIONS["script"], hint=example)
    return EmulatedBoard(script, Path(values["folder"]))


def compile_plugin(source: Path) -> bytes:
    """Compile a plug-in of QEMU for this machine, and return its content."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise DeviceUnreachable(f"no C compiler {compiler[0]}", why="it compiles the counter", hint="apt install gcc")
    with tempfile.TemporaryDirectory(prefix="edgefer-") as folder:
        target = Path(folder, "plugin.so")
        # QEMU resolves its functions when it loads the plug-in.
        command = [*compiler, "-O2", "-shared", "-fPIC", "-Wl,-z,lazy", "-o", str(target), str(source)]
        completed = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if completed.returncode:
            why = _last_line(completed.stderr)
            raise DeviceUnreachable(f"{source} does not compile", why=why, hint="CC=gcc, or another C compiler")
        return target.read_bytes()


def _last_line(output: str) -> str:
    """Return the last line that is not the hint of an error of edgefer on the board."""
    lines = [line for line in output.splitlines() if line.strip() and not line.lstrip().startswith("try: ")]
    return (lines or ["no output"])[-1][:MAX_MESSAGE]

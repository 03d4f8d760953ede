"""A virtual environment with a runtime on a board, by its own internet or by wheels that are pushed to it.

    python = set_up(connection, facts, runtime="litert", offline=True, device="pi4")

Nothing of the system is touched, and nothing needs root: it lies in ~/.local/share/edgefer, next to nothing else.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgefer.errors import DataError, EdgeferError, IncompatibleError, UsageError
from edgefer.fleet.agent import Facts, upload
from edgefer.fleet.connection import CommandOutput, Connection
from edgefer.progress import Progress, silent
from edgefer.requirements import LITERT, NUMPY, NUMPY_1, OPENCV, OPENCV_FOR_NUMPY_1, TFLITE_RUNTIME

__all__ = ["REQUIREMENTS", "provision"]

REQUIREMENTS = {
    "litert": (LITERT, NUMPY, OPENCV),
    "tflite_runtime": (TFLITE_RUNTIME, NUMPY_1, OPENCV_FOR_NUMPY_1),
}
NEWEST_PYTHON = {"litert": (3, 13), "tflite_runtime": (3, 11)}
MACHINES = {"litert": ("aarch64", "x86_64"), "tflite_runtime": ("aarch64", "armv7l", "x86_64")}
OLDEST_GLIBC = 17
VENV_S, INSTALL_S = 300.0, 1800.0


def provision(
    connection: Connection,
    facts: Facts,
    *,
    runtime: str,
    device: str,
    offline: bool = False,
    wheels: Path | None = None,
    progress: Progress = silent,
) -> str:
    """Make the environment, or bring it up to date; the path of its Python on the board.

    Args:
        connection: to the board, whose own Python makes the environment.
        facts: what the board has.
        runtime: a key of REQUIREMENTS.
        device: the name, for messages.
        offline: whether this machine downloads the wheels and pushes them.
        wheels: a folder that has them already; the board's internet is not used then either.
        progress: told of the steps.

    Raises:
        UsageError: there is no such runtime.
        IncompatibleError: it has no wheels for the board, or the board cannot make environments.
        DataError: a wheel cannot be had; the message carries pip's.
        DeviceUnreachable: the link broke.
    """
    version = _check(facts, runtime, device)
    folder = f"{facts.data}/venv-{runtime}"
    python = f"{folder}/bin/python"
    progress(0, 3, "making an environment")
    _run(connection, [connection.python, "-m", "venv", folder], VENV_S, what=f"{device} cannot make an environment",
         hint="on the board: sudo apt install python3-venv")  # fmt: skip
    install = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--upgrade"]
    if offline or wheels is not None:
        progress(1, 3, "fetching wheels")
        found = _packed(wheels) if wheels else _downloaded(facts, runtime, version)
        progress(2, 3, f"pushing {len(found) / 2**20:.0f} MiB")
        packed = upload(connection, found, "wheels.tar")
        unpacked = f"{folder}/wheels"
        unpack = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])"
        _run(connection, [python, "-c", unpack, packed, unpacked], INSTALL_S, what=f"{device} cannot unpack the wheels",
             hint=f"edgefer devices clean {device}")  # fmt: skip
        install += ["--no-index", "--find-links", unpacked]
    progress(2, 3, "installing")
    hint = f"edgefer devices setup {device} --runtime {runtime} --offline"
    _run(connection, [*install, *REQUIREMENTS[runtime]], INSTALL_S, what=f"{device} cannot install {runtime}", hint=hint)
    progress(3, 3, "done")
    return python


def _check(facts: Facts, runtime: str, device: str) -> tuple[int, ...]:
    """The version of the board's own Python, for which the runtime has wheels."""
    if runtime not in REQUIREMENTS:
        raise UsageError(f"no runtime {runtime!r}", why=f"there are {', '.join(REQUIREMENTS)}", hint="--runtime litert")
    version = facts.interpreters[-1].python
    newest, machines = NEWEST_PYTHON[runtime], MACHINES[runtime]
    if not (3, 10) <= version[:2] <= newest:
        raise IncompatibleError(
            f"{device} has Python {'.'.join(map(str, version))}",
            why=f"{runtime} has wheels for 3.10 to {'.'.join(map(str, newest))}",
            hint="name another of its Pythons: edgefer devices add NAME ADDRESS --python /path/to/python3.11",
        )
    if facts.machine not in machines:
        others = [name for name, found in MACHINES.items() if facts.machine in found]
        raise IncompatibleError(
            f"{runtime} has no wheels for {facts.machine}",
            why=f"it has them for {', '.join(machines)}",
            hint=f"--runtime {others[0]}" if others else "a 64-bit system",
        )
    return version


def _downloaded(facts: Facts, runtime: str, version: Sequence[int]) -> bytes:
    """The wheels for the board's platform and Python, as a tar."""
    digits = f"{version[0]}{version[1]}"
    glibc = re.search(r"glibc 2\.(\d+)", facts.libc)
    if glibc is None:
        raise IncompatibleError(f"a board with {facts.libc or 'an unknown libc'}", why="wheels want glibc")
    platforms = [f"manylinux_2_{minor}_{facts.machine}" for minor in range(int(glibc[1]), OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{facts.machine}", f"linux_{facts.machine}"]
    with tempfile.TemporaryDirectory(prefix="edgefer-wheels-") as folder:
        command = [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--only-binary=:all:",
            "--implementation", "cp", "--python-version", f"{version[0]}.{version[1]}",
            *(part for abi in (f"cp{digits}", "abi3", "none") for part in ("--abi", abi)),
            *(part for platform in platforms for part in ("--platform", platform)),
            "--dest", folder, *REQUIREMENTS[runtime],
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if ended.returncode:
            why = (ended.stderr.strip().splitlines() or ["pip said nothing"])[-1][:300]
            hint = "--wheels FOLDER, with them in it"
            raise DataError(f"cannot download wheels for {facts.machine}", why=why, hint=hint)
        return _packed(Path(folder))


def _packed(folder: Path) -> bytes:
    """The wheels in a folder as a tar; the same wheels give the same bytes."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise DataError(f"{folder} holds no wheels", why="*.whl was expected", hint="--offline downloads them")
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for wheel in wheels:
            entry = tarfile.TarInfo(wheel.name)
            entry.size = wheel.stat().st_size
            with wheel.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def _run(connection: Connection, command: Sequence[str], timeout_s: float, *, what: str, hint: str) -> CommandOutput:
    said = connection.run(command, timeout_s=timeout_s)
    if said.exit_code == 0:
        return said
    lines = f"{said.stdout.decode(errors='replace')}\n{said.stderr}".strip().splitlines()
    # Debian's venv says in many lines that a package is missing; pip's last line is the error.
    why = next((line.strip() for line in lines if "apt install" in line), lines[-1] if lines else "")
    missing = re.search(r"apt install (\S+)", why)
    raise EdgeferError(what, why=why[:300], hint=f"on the board: sudo apt install {missing[1]}" if missing else hint)

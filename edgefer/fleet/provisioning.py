"""Provision a board: create a virtual environment with a runtime, numpy and OpenCV.

    python = provision(connection, facts, runtime="litert", device="pi4", offline=True)

The packages come from the Internet or from uploaded wheels. The environment is in ~/.local/share/edgefer; nothing needs
root, and the packages of the system stay unchanged.
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
MIN_GLIBC_MINOR = 17
# PyPI has no wheels of numpy and OpenCV for 32-bit ARM. pip on Raspberry Pi OS uses this index by itself.
PIWHEELS = "https://www.piwheels.org/simple"
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
    """Create the environment of a runtime on a board, or update it.

    Args:
        connection: to the board; the interpreter of the connection creates the environment.
        facts: of the board.
        runtime: a key of REQUIREMENTS.
        device: name of the board, for error messages.
        offline: download the wheels on this machine and upload them.
        wheels: folder with the wheels; they are uploaded, and the board needs no Internet access.
        progress: called for each step.

    Returns:
        The path of the environment's interpreter on the board.

    Raises:
        UsageError: unknown runtime.
        IncompatibleError: the runtime has no wheels for the board.
        DataError: the download of a wheel failed, or ``wheels`` has none.
        EdgeferError: a command on the board failed.
        DeviceUnreachable: the connection broke.
    """
    version = _check_board(facts, runtime, device)
    folder = f"{facts.data}/venv-{runtime}"
    python = f"{folder}/bin/python"
    progress(0, 3, "creating the environment")
    # -I keeps a tarfile.py in the home folder from being imported.
    _run(connection, [connection.python, "-I", "-m", "venv", folder], VENV_S,
         what=f"{device} cannot create an environment",
         hint="on the board: sudo apt install python3-venv")  # fmt: skip
    install = [python, "-I", "-m", "pip", "--disable-pip-version-check", "install", "-q", "--upgrade"]
    if offline or wheels is not None:
        progress(1, 3, "downloading wheels")
        archive = _pack_wheels(wheels) if wheels else _download_wheels(facts, runtime, version)
        progress(2, 3, f"uploading {len(archive) / 2**20:.0f} MiB")
        packed = upload(connection, archive, "wheels.tar")
        unpacked = f"{folder}/wheels"
        unpack = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])"
        _run(connection, [python, "-I", "-c", unpack, packed, unpacked], INSTALL_S,
             what=f"{device} cannot unpack the wheels", hint=f"edgefer devices clean {device}")  # fmt: skip
        install += ["--no-index", "--find-links", unpacked]
    progress(2, 3, "installing")
    is_offline = offline or wheels is not None
    hint = (
        f"edgefer doctor --device {device}"
        if is_offline
        else f"edgefer devices setup {device} --runtime {runtime} --offline"
    )
    install += REQUIREMENTS[runtime]
    _run(connection, install, INSTALL_S, what=f"{device} cannot install {runtime}", hint=hint)
    progress(3, 3, "done")
    return python


def _check_board(facts: Facts, runtime: str, device: str) -> tuple[int, ...]:
    """Return the version of the board's default Python, after checking that the runtime has wheels for it."""
    if runtime not in REQUIREMENTS:
        why = f"expected one of {', '.join(REQUIREMENTS)}"
        raise UsageError(f"unknown runtime {runtime!r}", why=why, hint="--runtime litert")
    version = facts.python or facts.interpreters[-1].python
    newest, machines = NEWEST_PYTHON[runtime], MACHINES[runtime]
    if not (3, 10) <= version[:2] <= newest:
        raise IncompatibleError(
            f"{device} has Python {'.'.join(map(str, version))}",
            why=f"{runtime} has wheels for 3.10 to {'.'.join(map(str, newest))}",
            hint="edgefer devices add NAME ADDRESS --python /path/to/python3.11",
        )
    if facts.machine not in machines:
        alternatives = [name for name, supported in MACHINES.items() if facts.machine in supported]
        system = f", and {device} has a 32-bit system on a 64-bit kernel" if facts.is_32_bit_system else ""
        setup = f"edgefer devices setup {device} --runtime"
        raise IncompatibleError(
            f"{runtime} has no wheels for {facts.machine}",
            why=f"it has wheels for {', '.join(machines)}{system}",
            hint=f"{setup} {alternatives[0]}" if alternatives else "use a 64-bit system",
        )
    return version


def _download_wheels(facts: Facts, runtime: str, version: Sequence[int]) -> bytes:
    """Download the wheels for a board, and return them as a tar archive."""
    digits = f"{version[0]}{version[1]}"
    glibc = re.search(r"glibc 2\.(\d+)", facts.libc)
    if glibc is None:
        what = f"the board has {facts.libc or 'an unknown C library'}"
        raise IncompatibleError(what, why="wheels need glibc", hint="use a Debian-based system")
    platforms = [f"manylinux_2_{minor}_{facts.machine}" for minor in range(int(glibc[1]), MIN_GLIBC_MINOR - 1, -1)]
    platforms += [f"manylinux2014_{facts.machine}", f"linux_{facts.machine}"]
    with tempfile.TemporaryDirectory(prefix="edgefer-wheels-") as folder:
        command = [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--only-binary=:all:",
            "--implementation", "cp", "--python-version", f"{version[0]}.{version[1]}",
            *(part for abi in (f"cp{digits}", "abi3", "none") for part in ("--abi", abi)),
            *(part for platform in platforms for part in ("--platform", platform)),
            *(["--extra-index-url", PIWHEELS] if facts.machine == "armv7l" else []),
            "--dest", folder, *REQUIREMENTS[runtime],
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if ended.returncode:
            why = (ended.stderr.strip().splitlines() or ["pip printed no error"])[-1][:300]
            hint = "--wheels FOLDER with the wheels"
            raise DataError(f"cannot download wheels for {facts.machine}", why=why, hint=hint)
        return _pack_wheels(Path(folder))


def _pack_wheels(folder: Path) -> bytes:
    """Return the wheels in a folder as a tar archive; equal wheels give equal bytes, so an upload is cached."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise DataError(f"{folder} has no wheels", why="expected *.whl files", hint="--offline")
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for wheel in wheels:
            entry = tarfile.TarInfo(wheel.name)
            entry.size = wheel.stat().st_size
            with wheel.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def _run(connection: Connection, command: Sequence[str], timeout_s: float, *, what: str, hint: str) -> CommandOutput:
    output = connection.run(command, timeout_s=timeout_s)
    if output.exit_code == 0:
        return output
    lines = f"{output.stdout.decode(errors='replace')}\n{output.stderr}".strip().splitlines()
    # Debian's venv names a missing package somewhere in its message. The last line of pip is its error.
    why = next((line.strip() for line in lines if "apt install" in line), lines[-1] if lines else "")
    missing = re.search(r"apt install (\S+)", why)
    raise EdgeferError(what, why=why[:300], hint=f"on the board: sudo apt install {missing[1]}" if missing else hint)

"""Provision a board: create a virtual environment with a runtime, numpy and OpenCV.

    python = provision(connection, facts, runtime="litert", device="pi4", offline=True)

The packages come from the Internet or from uploaded wheels. The environment is in ~/.local/share/edgefer; nothing needs
root, and the packages of the system stay unchanged.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.fleet.board_errors import Cause, describe_failure
from edgefer.fleet.connection import Connection
from edgefer.fleet.probe import Facts
from edgefer.fleet.upload import upload
from edgefer.progress import Progress, silent
from edgefer.requirements import LITERT, NUMPY, NUMPY_1, OPENCV, OPENCV_FOR_NUMPY_1, TFLITE_RUNTIME

__all__ = ["REQUIREMENTS", "check_options", "provision"]

REQUIREMENTS = {
    "litert": (LITERT, NUMPY, OPENCV),
    "tflite_runtime": (TFLITE_RUNTIME, NUMPY_1, OPENCV_FOR_NUMPY_1),
}
NEWEST_PYTHON = {"litert": (3, 13), "tflite_runtime": (3, 11)}
MACHINES = {"litert": ("aarch64", "x86_64"), "tflite_runtime": ("aarch64", "armv7l", "x86_64")}
MIN_GLIBC_MINOR = 17
# PyPI has no wheels of numpy and OpenCV for 32-bit ARM. pip on Raspberry Pi OS uses this index by itself.
PIWHEELS = "https://www.piwheels.org/simple"
# Messages of pip without a connection to the package index.
NETWORK = (
    "NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Temporary failure in name resolution|"
    "Network is unreachable|Connection (refused|reset|aborted)|Max retries exceeded|ProxyError"
)
ANY_WHEELS = "--wheels FOLDER, with wheels that another machine has downloaded"
# Messages of pip on this machine, each with the fix.
DOWNLOAD_HINTS = {
    "No space left on device|Disk quota exceeded": "free space in the folder for temporary files, or set TMPDIR",
    "No module named '?pip": "{executable} -m ensurepip",
    "CERTIFICATE_VERIFY_FAILED": "correct the clock and the certificates of this machine",
    NETWORK: f"connect this machine to the Internet, or {ANY_WHEELS}",
    r"No matching distribution found for (\S+)": "--wheels FOLDER, with a wheel of {0}",
}
VENV_S, INSTALL_S = 300.0, 1800.0


def check_options(runtime: str, wheels: Path | None = None) -> None:
    """Check the options of provision(), before a board is reached.

    Raises:
        UsageError: unknown runtime.
        DataError: the folder ``wheels`` has no wheels.
    """
    if runtime not in REQUIREMENTS:
        why = f"expected one of {', '.join(REQUIREMENTS)}"
        raise UsageError(f"unknown runtime {runtime!r}", why=why, hint="--runtime litert")
    if wheels is not None:
        _list_wheels(wheels)


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
    check_options(runtime, wheels)
    version = _check_board(facts, runtime, device)
    folder = f"{facts.data}/venv-{runtime}"
    python = f"{folder}/bin/python"
    progress(0, 3, "creating the environment")
    # -I keeps a tarfile.py in the home folder from being imported. pip is installed by a separate command, because
    # venv does not show its messages.
    for command in (
        [connection.python, "-I", "-m", "venv", "--without-pip", folder],
        [python, "-I", "-m", "ensurepip", "--upgrade", "--default-pip"],
    ):
        _run(connection, command, VENV_S, what=f"{device} cannot create an environment", folder=folder)
    install = [python, "-I", "-m", "pip", "--disable-pip-version-check", "install", "-q", "--upgrade"]
    if offline or wheels is not None:
        progress(1, 3, "downloading wheels")
        archive = _pack_wheels(wheels) if wheels else _download_wheels(facts, runtime, version)
        progress(2, 3, f"uploading {len(archive) / 2**20:.0f} MiB")
        packed = upload(connection, archive, "wheels.tar")
        unpacked = f"{folder}/wheels"
        unpack = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])"
        what = f"{device} cannot unpack the wheels"
        _run(connection, [python, "-I", "-c", unpack, packed, unpacked], INSTALL_S, what=what, folder=folder)
        install += ["--no-index", "--find-links", unpacked]
    progress(2, 3, "installing")
    install += REQUIREMENTS[runtime]
    what = f"{device} cannot install {runtime}"
    _run(connection, install, INSTALL_S, what=what, folder=folder, causes=_pip_causes(runtime))
    progress(3, 3, "done")
    return python


def _check_board(facts: Facts, runtime: str, device: str) -> tuple[int, ...]:
    """Return the version of the board's default Python, after checking that the runtime has wheels for it."""
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
        # Python would import a module of the working folder instead of one that pip uses.
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
            cwd=folder,
        )  # fmt: skip
        if ended.returncode:
            raise _download_error(ended.stderr, facts.machine)
        return _pack_wheels(Path(folder))


def _download_error(stderr: str, machine: str) -> DataError:
    """Return the error for wheels that pip could not download to this machine."""
    lines = stderr.strip().splitlines() or ["pip printed no error"]
    for pattern, hint in DOWNLOAD_HINTS.items():
        for line in reversed(lines):
            if match := re.search(pattern, line):
                fix = hint.format(*match.groups(), executable=sys.executable)
                return DataError(f"cannot download wheels for {machine}", why=line.strip()[:300], hint=fix)
    return DataError(f"cannot download wheels for {machine}", why=lines[-1][:300], hint=ANY_WHEELS)


def _pack_wheels(folder: Path) -> bytes:
    """Return the wheels in a folder as a tar archive; equal wheels give equal bytes, so an upload is cached."""
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for wheel in _list_wheels(folder):
            entry = tarfile.TarInfo(wheel.name)
            entry.size = wheel.stat().st_size
            with wheel.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def _list_wheels(folder: Path) -> list[Path]:
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise DataError(f"{folder} has no wheels", why="expected *.whl files", hint="--offline")
    return wheels


def _pip_causes(runtime: str) -> list[Cause]:
    setup = f"edgefer devices setup {{device}} --runtime {runtime}"
    return [
        Cause("No space left on device|Disk quota exceeded", "on the board, free space: df -h", DataError),
        Cause("CERTIFICATE_VERIFY_FAILED", "on the board, correct the clock: sudo timedatectl set-ntp true"),
        Cause(NETWORK, f"{setup} --offline"),
        Cause("No module named '?pip", f"edgefer devices clean {{device}} --all, then: {setup}"),
        Cause(r"No matching distribution found for (\S+)", f"{setup} --wheels FOLDER, with a wheel of {{1}}"),
        Cause(r"BadZipFile|[Ii]nvalid wheel|not a valid wheel|(wheel.*is invalid)", f"{setup} --offline"),
    ]


def _run(
    connection: Connection, command: Sequence[str], timeout_s: float, *, what: str, folder: str,
    causes: Sequence[Cause] = (),
) -> None:  # fmt: skip
    """Run a command of the setup on a board; it writes ``folder``."""
    output = connection.run(command, timeout_s=timeout_s)
    if output.exit_code:
        raise describe_failure(
            what, output, device=connection.name, python=command[0], folder=folder, causes=causes,
            hint=f"on the board, for the complete output: {shlex.join(command)}",
        )  # fmt: skip

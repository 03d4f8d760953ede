"""Probe the hardware, the Python interpreters and the runtimes of a board.

    facts = probe(connection)
    runtime, python, version = facts.select_runtime(None, device="pi4")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgefer.deploy.environment import missing_library
from edgefer.errors import IncompatibleError
from edgefer.fleet.agent import invalid_reply_errors, read_reply, run_agent
from edgefer.fleet.connection import Connection
from edgefer.results.schema import Fields

__all__ = ["Facts", "Interpreter", "probe"]

# A probe imports the packages of every interpreter, which takes seconds each on a slow board.
TIMEOUT_S = 600.0
PACKAGES = ("numpy", "opencv", "litert", "tflite_runtime")
NATIVE_64_BIT = ("aarch64", "arm64", "x86_64", "AMD64", "riscv64")


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter on a device.

    Attributes:
        path: its path on the device.
        python: its version, such as (3, 11, 2).
        litert, tflite_runtime, numpy, opencv: installed versions, or None.
        bits: width of a pointer: 64, or 32 also on a 64-bit kernel with a 32-bit system.
        machine: processor that its packages are built for, such as "armv7l"; empty if unknown.
        errors: message of each of these packages that cannot be imported, by name.
    """

    path: str
    python: tuple[int, ...]
    litert: str | None
    tflite_runtime: str | None
    numpy: str | None
    opencv: str | None
    bits: int = 64
    machine: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Fields) -> Interpreter:
        """Create an interpreter from an entry of Facts.to_json().

        Raises:
            DataError: a field is missing or invalid.
        """
        errors = values.object("errors") if "errors" in values else Fields({})
        return cls(
            path=values.text("path"),
            python=values.integers("python"),
            **{name: values.optional(values.text, name) for name in PACKAGES},
            bits=values.integer("bits") if "bits" in values else 64,
            machine=values.text("machine") if "machine" in values else "",
            errors={name: errors.text(name) for name in errors},
        )

    def problem_with(self, runtime: str) -> str:
        """Return why edgefer cannot use ``runtime`` in this interpreter, or an empty string."""
        if not (3, 10) <= self.python[:2] <= (3, 13):
            return f"Python {'.'.join(map(str, self.python))} is not 3.10 to 3.13"
        names = ("numpy", "opencv", runtime)
        missing = [name for name in names if getattr(self, name, None) is None]
        if missing:
            return f"no {', '.join(missing)}"
        if runtime == "tflite_runtime" and not str(self.numpy).startswith("1."):
            return f"tflite-runtime does not work with numpy {self.numpy}"
        failures = [f"{name} {getattr(self, name)}: {self.errors[name]}" for name in names if name in self.errors]
        return "; ".join(failures)

    def missing_library(self) -> str:
        """Return the Debian package of a library without which a package cannot be imported, or an empty string."""
        return missing_library(" ".join(self.errors.values()))


@dataclass(frozen=True)
class Facts:
    """Hardware and software of a device, as probed.

    Attributes:
        board: board model from the device tree, or None.
        machine: processor that the system's packages are built for: "aarch64", "armv7l", "x86_64" or another.
        cores: number of processor cores.
        ram_bytes: total memory.
        dot_product: True if the processor has int8 dot product instructions (asimddp, VNNI).
        os: name of the operating system, or None.
        libc: name and version of the C library.
        free_bytes: free disk space at the cache folder.
        cache, data: folders that edgefer uses on the device.
        interpreters: Python interpreters on the device, the configured one first.
        bits: width of a pointer in the interpreter that was probed.
        kernel_machine: processor that the kernel reports; it differs from ``machine`` on a 64-bit kernel with a 32-bit
            system. Empty if unknown.
        python: version of the interpreter that was probed; empty if unknown.
    """

    board: str | None
    machine: str
    cores: int
    ram_bytes: int
    dot_product: bool
    os: str | None
    libc: str
    free_bytes: int
    cache: str
    data: str
    interpreters: tuple[Interpreter, ...]
    bits: int = 64
    kernel_machine: str = ""
    python: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-compatible values; from_json() is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: object) -> Facts:
        """Create facts from the output of to_json().

        Raises:
            DataError: a field is missing or invalid.
        """
        values = Fields(fields)
        return cls(
            board=values.optional(values.text, "board"),
            machine=values.text("machine"),
            cores=values.integer("cores", low=1),
            ram_bytes=values.count("ram_bytes"),
            dot_product=values.flag("dot_product"),
            os=values.optional(values.text, "os"),
            libc=values.text("libc"),
            free_bytes=values.count("free_bytes"),
            cache=values.text("cache"),
            data=values.text("data"),
            interpreters=tuple(map(Interpreter.from_json, values.objects("interpreters"))),
            bits=values.integer("bits") if "bits" in values else 64,
            kernel_machine=values.text("kernel_machine") if "kernel_machine" in values else "",
            python=values.integers("python") if "python" in values else (),
        )

    @property
    def is_32_bit_system(self) -> bool:
        """True for a 32-bit system on a 64-bit kernel, such as 32-bit Raspberry Pi OS on a Pi 4."""
        return self.bits == 32 and self.kernel_machine in NATIVE_64_BIT

    @property
    def runtimes(self) -> dict[str, str]:
        """Version of each runtime that works on the device, by name."""
        return {
            name: str(getattr(interpreter, name))
            for name in ("tflite_runtime", "litert")
            for interpreter in reversed(self.interpreters)
            if not interpreter.problem_with(name)
        }

    def select_runtime(self, runtime: str | None, *, device: str) -> tuple[str, str, str]:
        """Select a runtime and the first interpreter on the device that has it.

        Args:
            runtime: name of the runtime; None or "auto" selects the best.
            device: name of the device, for the error message.

        Returns:
            The name of the runtime, the path of the interpreter, and the version of the runtime.

        Raises:
            IncompatibleError: no interpreter can use the runtime; the message has the reason for each of them.
        """
        runtimes = [runtime] if runtime and runtime != "auto" else ["litert", "tflite_runtime"]
        for name in runtimes:
            for interpreter in self.interpreters:
                if not interpreter.problem_with(name):
                    return name, interpreter.path, str(getattr(interpreter, name))
        preferred = runtimes[0]
        problems = [f"{interpreter.path}: {interpreter.problem_with(preferred)}" for interpreter in self.interpreters]
        installed = [interpreter for interpreter in self.interpreters if getattr(interpreter, preferred, None)]
        library = next(filter(None, (interpreter.missing_library() for interpreter in installed)), "")
        raise IncompatibleError(
            f"{device} has no Python with a working {preferred}",
            why="; ".join(problems) or "no Python was found",
            hint=f"on the board: sudo apt install {library}" if library else self._setup_hint(device, runtimes),
        )

    def _setup_hint(self, device: str, runtimes: Sequence[str]) -> str:
        """Return the command that installs one of ``runtimes``; on 32 bits, only tflite-runtime has packages."""
        runtime = "tflite_runtime" if self.bits == 32 and "tflite_runtime" in runtimes else runtimes[0]
        return f"edgefer devices setup {device} --runtime {runtime}"


def probe(connection: Connection, pythons: Sequence[str] = ()) -> Facts:
    """Probe the hardware, the interpreters and the runtimes of a device.

    Args:
        connection: to the device.
        pythons: paths of interpreters to list first.

    Raises:
        DeviceUnreachable: the device does not answer.
        IncompatibleError: the device has no Python, or one older than 3.7.
        DataError: the reply is invalid.
    """
    output = run_agent(connection, "probe", *pythons, timeout_s=TIMEOUT_S)
    with invalid_reply_errors(connection.name):
        return Facts.from_json(read_reply(output))

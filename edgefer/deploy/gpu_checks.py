"""Check which GPUs the driver lists, and which of them TensorFlow and JAX can train on.

    for check in gpu_checks():
        check.name, check.status, check.text, check.fix
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefer.deploy.check import Check, installed_version
from edgefer.device.nvidia import VISIBLE_DEVICES, Gpu, count_equal, nvidia_gpus
from edgefer.errors import IncompatibleError
from edgefer.processes import run_code

__all__ = ["gpu_checks"]

TIMEOUT_S = 180.0
# Device nodes of Jetson boards, and of a driver without nvidia-smi, such as in a container.
NODES = ("/dev/nvidia0", "/dev/nvhost-gpu")


@dataclass(frozen=True)
class Backend:
    """A framework that trains on GPUs.

    Attributes:
        name: its name for the user.
        package: its package.
        libraries: a package of CUDA libraries that ``extra`` installs.
        extra: the extra of edgefer that installs it with CUDA.
        code: program that writes the names of its GPUs, as a JSON list, to the path in sys.argv[1].
    """

    name: str
    package: str
    libraries: str
    extra: str
    code: str


BACKENDS = (
    Backend(
        "TensorFlow", "tensorflow", "nvidia-cudnn-cu12", "cuda",
        """
import json, pathlib, sys
import tensorflow
config = tensorflow.config
gpus = config.list_physical_devices("GPU")
names = [config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
pathlib.Path(sys.argv[1]).write_text(json.dumps(names))
""",
    ),
    Backend(
        "JAX", "jax", "jax-cuda12-plugin", "jax-cuda",
        """
import json, pathlib, sys
import jax
names = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
pathlib.Path(sys.argv[1]).write_text(json.dumps(names))
""",
    ),
)  # fmt: skip


def gpu_checks() -> Iterator[Check]:
    """Yield a check of the driver, and one for each framework that is installed if there is a GPU."""
    try:
        gpus = nvidia_gpus()
    except IncompatibleError as error:
        yield Check("GPU", "note", f"{error.what}: {error.why}", error.hint)
        return
    if gpus:
        yield Check("GPU", "ok", _describe(gpus))
        for backend in BACKENDS:
            if installed_version(backend.package) is not None:
                yield _check_backend(backend, gpus)
        return
    nodes = [path for path in NODES if Path(path).exists()]
    yield Check("GPU", "ok" if nodes else "note", ", ".join(nodes) or "no NVIDIA GPU; int8 models do not need one")


def _describe(gpus: Sequence[Gpu]) -> str:
    """Return "2 x NVIDIA H200, 140 GiB, driver 550.54"; other models of GPU follow, separated by a semicolon."""
    texts = []
    for gpu in gpus:
        memory = f", {gpu.memory_bytes / 2**30:.0f} GiB" if gpu.memory_bytes else ""
        texts.append(f"{gpu.name}{memory}, driver {gpu.driver}")
    return count_equal(texts, separator="; ")


def _check_backend(backend: Backend, gpus: Sequence[Gpu]) -> Check:
    name, version = f"{backend.name} GPU", installed_version(backend.package)
    with tempfile.TemporaryDirectory(prefix="edgefer-doctor-") as folder:
        report = Path(folder, "gpus.json")
        child = run_code(backend.code, report, folder=Path(folder), timeout_s=TIMEOUT_S)
        seen: list[str] = json.loads(report.read_text(encoding="utf-8")) if report.exists() else []
    if seen:
        return Check(name, "ok", f"{backend.name} {version} trains on {', '.join(seen)}")
    if child.exit_code:
        text = f"{backend.name} {version} cannot list its GPUs: {child.last_line or child.signal or 'no answer'}"
        return Check(name, "note", text, f"python -c 'import {backend.package}'   (the complete message)")
    text = f"{backend.name} {version} uses no GPU"
    if VISIBLE_DEVICES in os.environ:
        value = f"{VISIBLE_DEVICES}={os.environ[VISIBLE_DEVICES]}"
        return Check(name, "note", f"{text}: {value}", f"unset {VISIBLE_DEVICES}")
    if installed_version(backend.libraries) is None:
        fix = f"in a checkout of edgefer: pip install -e '.[workstation,{backend.extra}]'"
        return Check(name, "note", f"{text}: its CUDA libraries are not installed", fix)
    fix = "update the driver to a version for CUDA 12: 525 or later"
    return Check(name, "note", f"{text}: driver {gpus[0].driver} and the CUDA libraries do not fit", fix)

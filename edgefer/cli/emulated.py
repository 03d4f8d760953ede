"""Count the instructions of models on an emulated board, for ``edgefer bench --device emulated``.

    is_emulated(names, estimate=True)               # True if the device is the emulated board
    count_instructions([path], "emulated", estimate=True, runtimes=["litert"])
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgefer import plugins
from edgefer.cli.options import log
from edgefer.errors import EdgeferError, Interrupted, UsageError
from edgefer.text_table import Result

__all__ = ["count_instructions", "is_emulated"]

# As in edgefer.fleet.registry, which a bundle does not contain.
EMULATED = "emulated"
DEFAULT_RUNTIME = "litert"


def is_emulated(devices: Sequence[str], *, estimate: bool) -> bool:
    """Return True if the devices of a command are the emulated board.

    Args:
        devices: values of --device.
        estimate: True with --estimate.

    Raises:
        UsageError: the emulated board is one of several devices, or an estimate is for another device.
    """
    emulated = [name for name in devices if name.partition(":")[0] == EMULATED]
    if emulated and len(devices) > 1:
        hint = f"a command of its own for --device {EMULATED}"
        raise UsageError(f"--device {emulated[0]} with another device", why="its times mean nothing", hint=hint)
    if estimate and not emulated:
        why = "an estimate is made from instructions on an emulated board"
        raise UsageError("--estimate", why=why, hint=f"--device {EMULATED}:script=board.sh,folder=board --estimate")
    return bool(emulated)


def count_instructions(
    models: Sequence[Path], device: str, *, estimate: bool, runtimes: Sequence[str | None]
) -> Result:
    """Count the instructions of one inference on each processor; a failure keeps the counts of the models before it.

    Args:
        models: files with a contract.
        device: "emulated", with options behind a colon.
        estimate: also estimate latencies.
        runtimes: names; None is LiteRT.

    Raises:
        UsageError: an option or a runtime is unknown, or has no estimate.
        DeviceUnreachable: the board does not run, or not the first model.
    """
    from edgefer.contract.artifact import Artifact
    from edgefer.fleet.emulated_board import OPTIONS, PROCESSORS, PYTHONS, open_emulated_board
    from edgefer.fleet.latency_model import read_latency_models
    from edgefer.report.instruction_table import instruction_table
    from edgefer.results import schema
    from edgefer.results.instructions import InstructionRecord

    _, options = plugins.parse_options(device, option="--device")
    for name in options:
        if name not in OPTIONS:
            hint = f"--device {EMULATED}:script=board.sh,folder=board"
            raise UsageError(f"--device {device}: {name}", why=f"expected one of {', '.join(OPTIONS)}", hint=hint)
    for runtime in runtimes:
        if runtime not in (None, *PYTHONS):
            why = f"the emulated board has {', '.join(PYTHONS)}"
            raise UsageError(f"--runtime {runtime}", why=why, hint=f"--runtime {DEFAULT_RUNTIME}")
    if estimate and any(name not in (None, DEFAULT_RUNTIME) for name in runtimes):
        hint = f"--runtime {DEFAULT_RUNTIME}"
        raise UsageError("--estimate with --runtime", why="the latencies of the fit are those of XNNPACK", hint=hint)
    board = open_emulated_board(options)
    log("device: an emulated arm64 board; this builds it, if it does not exist")
    board.prepare()
    latency_models = read_latency_models() if estimate else {}
    records, failure = [], None
    try:
        for path in models:
            artifact = Artifact.load(path)
            subject = {
                "file": path.name, "file_bytes": path.stat().st_size, "sha256": artifact.sha256,
                "scheme": artifact.scheme,
            }  # fmt: skip
            for runtime in runtimes:
                name = runtime or DEFAULT_RUNTIME
                counts = {key: board.count(artifact.model, processor=key, runtime=name) for key in PROCESSORS}
                estimates = {key: model.estimate(counts[key]) for key, model in latency_models.items()}
                records.append(InstructionRecord(subject, name, counts, estimates))
    except (EdgeferError, KeyboardInterrupt) as error:
        if not records:
            raise
        failure = Interrupted.from_exception(error) if isinstance(error, KeyboardInterrupt) else error
    values = [record.to_json() for record in records]
    record = values[0] if len(values) == 1 else {**schema.header("instruction_records", 1), "records": values}
    return Result(record, instruction_table(records).text(), failure)

"""edgefer bench"""

from __future__ import annotations

import io
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, RUNTIMES, data_options, open_data, say, thread_counts
from edgefer.errors import DataError, EdgeferError, UsageError
from edgefer.results.benchmark import PRESETS
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.fleet.remote_benchmark import Outcome
    from edgefer.results.benchmark import BenchmarkPlan, BenchmarkResult

LOCAL = "local"
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


@click.command(short_help="Measure a model on a device: latency, accuracy, heat.")
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option(
    "--device", "devices", multiple=True, is_flag=False, flag_value=LOCAL, metavar="[NAME|USER@HOST]",
    help="Where; several run side by side.  [default: local]",
)  # fmt: skip
@click.option("--tag", metavar="TAG", help="All devices with this tag in devices.toml.")
@click.option("--compare", "against", type=PATH, metavar="MODEL", help="A second model, in turns with the first.")
@click.option("--threads", default=None, metavar="N[,N...]", help="Numbers of threads to try.  [default: 1]")
@click.option("--runtime", metavar="NAME[,NAME...]", help=f"Of {RUNTIMES}.  [default: the best installed]")
@click.option("--python", metavar="PATH", help="Another Python of this machine, for the runtimes that it has.")
@click.option("--preset", "rigour", type=click.Choice(list(PRESETS)), default="quick", show_default=True, help="How much.")
@click.option("--runs", type=click.IntRange(1), metavar="N", help="Timed runs, at least.  [default: by rigour]")
@click.option("--seconds", type=click.FloatRange(0), metavar="S", help="Timed seconds, at least.  [default: by rigour]")
@click.option("--rounds", type=click.IntRange(1), metavar="N", help="Fresh processes.  [default: by rigour]")
@click.option("--faces", type=PATH, metavar="FILE", help="An .npz with 'faces', uint8 (n, 48, 48).  [default: drawn]")
@click.option("--accuracy", default="none", show_default=True, metavar="full|N|none", help="Over PublicTest of --data.")
@data_options
@click.option("--cooldown", type=float, metavar="C", help="Wait before each round until the device is cooler.")
@click.option("--soak", metavar="TIME", help="Run on for so long, such as 10m, and record heat and clock.")
@click.option("--strict", is_flag=True, help="Exit code 6 where the device was throttled or loaded.")
@click.option("--output-dir", "into", type=PATH, metavar="FOLDER", help="Write one JSON a device there.")
@click.option("--samples", is_flag=True, help="Keep each run's time in the JSON.")
def command(model: Path | None, devices: tuple[str, ...], tag: str | None, strict: bool, **options: Any) -> Result:
    """Measure how long a MODEL takes on a device, how right it is there, and what the device was like meanwhile.

    Without MODEL: the newest artifact, else the model that ships. A board needs Python and an SSH server; edgefer's
    board side, the model and the faces are copied there, once. quick is 1,024 runs and 3 s, standard 10 s in 5 rounds
    of a fresh process each, mlperf 24,576 runs. What is compared takes turns.

    \b
    Example:
        edgefer bench --device
        edgefer bench model.tflite --device pi@raspberrypi.local --accuracy full --data fer2013.csv
        edgefer bench int8.tflite --compare float32.tflite --preset standard --threads 1,2,4
    """
    from edgefer.models import find_model

    for device in devices:
        if device.endswith(".tflite"):
            raise UsageError(f"--device {device}", why="a device was expected", hint=f"edgefer bench {device} --device")
    path, reason = find_model(model)
    names = devices or (() if tag else (LOCAL,))
    if options["python"] and (set(names) != {LOCAL} or tag):
        hint = "edgefer devices add NAME USER@HOST --python PATH"
        raise UsageError("--python with a board", why="it is an interpreter of this machine", hint=hint)
    say(f"model: {path} ({reason})\ndevice: {', '.join((*names, *([f'all tagged {tag}'] if tag else [])))}")
    job, faces = _job([path, *([options["against"]] if options["against"] else [])], options)
    if set(names) == {LOCAL} and not tag:
        benched = _here(job, faces, options["python"])
        result = _result([benched], [], benched.refusal() if strict else None, options)
        return _written(result, [benched], options)
    return _elsewhere(names, tag, job, faces, strict, options)


def _here(job: BenchmarkPlan, faces: bytes | None, python: str | None) -> BenchmarkResult:
    """The job on this machine."""
    from edgefer import files
    from edgefer.benchmark.isolation import benchmark_lock
    from edgefer.benchmark.session import run_benchmark, select_interpreters
    from edgefer.progress import shown

    _say_how(job)
    with tempfile.TemporaryDirectory(prefix="edgefer-faces-") as folder, shown("bench") as progress, benchmark_lock():
        if faces is not None:
            files.write_bytes(Path(folder, "faces.npz"), faces)
            job = replace(job, faces=str(Path(folder, "faces.npz")))
        return run_benchmark(select_interpreters(job, python), progress=progress)


def _elsewhere(
    names: Sequence[str], tag: str | None, job: BenchmarkPlan, faces: bytes | None, strict: bool, options: dict[str, Any]
) -> Result:
    """The job on boards, and on this machine too where it is among them."""
    from edgefer.fleet.limits import check_limits
    from edgefer.fleet.registry import Registry
    from edgefer.fleet.remote_benchmark import RemoteBenchmark, run_remote_benchmarks
    from edgefer.progress import shown_together

    _say_how(job)
    chosen = Registry.read().select(names, tag=tag)
    titles = [device.name for device in chosen]
    with shown_together(titles) as progress_of:
        outcomes = run_remote_benchmarks(chosen, RemoteBenchmark(job, faces, options["threads"] is None), progress_of=progress_of)
    done = [each.benched for each in outcomes if each.benched is not None]
    failure = check_limits(outcomes, chosen, strict=strict)
    if len(outcomes) == 1 and failure is not None and not done and not outcomes[0].measurements:
        raise failure
    return _written(_result(done, outcomes, failure, options), done, options)


def _result(
    done: Sequence[BenchmarkResult], outcomes: Sequence[Outcome], problem: EdgeferError | None, options: dict[str, Any]
) -> Result:
    """What was measured, what went wrong with the others, and what the command ends with."""
    from edgefer.processes import error_to_json
    from edgefer.report.terminal.benchmark import outcomes_text
    from edgefer.results import schema

    lines = [outcomes_text(done)] if done else []
    failures = []
    for outcome in outcomes:
        if outcome.problem is not None:
            partly = [each.to_json() for each in outcome.measurements]
            failures.append({"device": outcome.device, **error_to_json(outcome.problem), "measurements": partly})
            lines.append(f"{outcome.device}: {outcome.problem}")
    documents = [each.to_json(samples=options["samples"]) for each in done]
    if len(documents) == 1 and not failures:
        record: dict[str, Any] = documents[0]
    else:
        record = {**schema.header("benches", 1), "benches": documents, "failures": failures}
    return Result(record, "\n\n".join(lines), problem)


def _written(result: Result, done: Sequence[BenchmarkResult], options: dict[str, Any]) -> Result:
    import json

    from edgefer import files

    if options["into"] is not None:
        for each in done:
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", each.device)
            text = json.dumps(each.to_json(samples=options["samples"]), indent=1, allow_nan=False)
            files.write_text(options["into"] / f"{name}.bench.json", text + "\n")
    return result


def _job(models: Sequence[Path], options: dict[str, Any]) -> tuple[BenchmarkPlan, bytes | None]:
    """What to do, and the faces that go with it."""
    from edgefer.contract.artifact import Artifact
    from edgefer.results.benchmark import BenchmarkCase, BenchmarkPlan

    for model in models:
        if not model.is_file():
            raise DataError(f"{model} is not a model file", why="no such file", hint="edgefer quantize --int8")
    counts = thread_counts("1" if options["threads"] is None else options["threads"])
    runtimes = _runtimes(options["runtime"])
    seconds, accuracy = options["seconds"], _accuracy(options["accuracy"])
    if seconds is not None and not math.isfinite(seconds):
        raise UsageError(f"--seconds {seconds}", why="a number was expected", hint="--seconds 3")
    entries = [
        BenchmarkCase(str(model), runtime, count) for runtime in runtimes for count in counts for model in models
    ]
    job = BenchmarkPlan(
        tuple(entries), rigour=options["rigour"], runs=options["runs"], seconds=seconds, rounds=options["rounds"],
        accuracy=accuracy, cooldown_c=options["cooldown"], soak_s=_seconds(options["soak"]), samples=options["samples"],
    )  # fmt: skip
    return job, _faces(accuracy, options, Artifact.load(models[0]).input_spec)


def _say_how(job: BenchmarkPlan) -> None:
    settled = job.settled
    rounds = f", in {settled.rounds} rounds" if settled.rounds > 1 else ""
    for count in dict.fromkeys(entry.threads for entry in job.entries):
        runs = f"at least {settled.runs:,} run{'s' * (settled.runs > 1)} and {settled.seconds:g} s{rounds}"
        say(f"{count} thread{'s' if count > 1 else ''}: {runs}")


def _faces(accuracy: int | None, options: dict[str, Any], spec: InputSpec) -> bytes | None:
    """The content of an .npz: PublicTest where accuracy is asked for, else the user's own, else none."""
    from edgefer.benchmark.runner import read_faces
    from edgefer.inference.evaluation import test_set

    if accuracy is None:
        if options["faces"] is None:
            return None
        read_faces(str(options["faces"]))
        return bytes(options["faces"].read_bytes())
    import numpy as np

    from edgefer.data.evaluation_set import make_evaluation_set

    dataset = open_data(options["data"], options["ferplus"], options["skip_bad_rows"])
    images = make_evaluation_set(dataset, dataset.split("PublicTest"), name="PublicTest", spec=spec)
    buffer = io.BytesIO()
    seen = images.seen_in_training
    arrays: Any = test_set(images.faces, images.labels, seen, split=images.split, data=images.data)
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _accuracy(text: str) -> int | None:
    if text in ("none", "full"):
        return None if text == "none" else 0
    if not text.isdecimal() or int(text) == 0:
        raise UsageError(f"--accuracy {text}", why="full, none or a number was expected", hint="--accuracy 500")
    return int(text)


def _seconds(text: str | None) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text or "0")
    if not found:
        raise UsageError(f"--soak {text}", why="a time such as 90s, 10m or 1h was expected", hint="--soak 10m")
    return float(found[1]) * SECONDS[found[2]]


def _runtimes(text: str | None) -> list[str | None]:
    from edgefer import plugins

    names = [name.strip() for name in (text or "").split(",")]
    for name in names:
        if name and name != "auto":
            plugins.load("edgefer.inference.runtimes", name)
    return [name if name and name != "auto" else None for name in names]

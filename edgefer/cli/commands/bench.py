"""Measure a model on a device: latency, accuracy, temperature."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.bench_results import BenchOutputs, make_result
from edgefer.cli.data_options import DataOptions, data_options, open_artifact_data, resolve_model_data
from edgefer.cli.emulated import count_instructions, is_emulated
from edgefer.cli.foreign import NO_DATA, FeedOptions, feed_options, find_contract
from edgefer.cli.options import NAME, PATH, RUNTIMES, FiniteRange, log, option_group, parse_face_count, parse_threads
from edgefer.cli.outputs import OUTPUT_FOLDER
from edgefer.data.naming import counted
from edgefer.errors import EdgeferError, Interrupted, UsageError
from edgefer.results.benchmark_plan import PRESETS
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.contract.artifact import Artifact
    from edgefer.fleet.registry import Device
    from edgefer.fleet.remote_benchmark import Outcome
    from edgefer.results.benchmark import BenchmarkResult
    from edgefer.results.benchmark_plan import BenchmarkPlan

LOCAL, AUTO = "local", "auto"
SECONDS_PER_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600}
# Half of the longest time limit of a process, see edgefer.processes.
MAX_RUNS, MAX_SECONDS = 10**9, 500_000
DATA_OPTIONS = {
    "data": "--data", "ferplus": "--ferplus", "skip_bad_rows": "--skip-bad-rows", "shares": "--split",
    "columns": "--columns", "labels_map": "--labels-map", "detect": "--detect",
}  # fmt: skip


def parse_duration(text: str) -> float:
    """Parse a duration such as 90s, 10m or 1h; return seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    seconds = float(match[1]) * SECONDS_PER_UNIT[match[2]] if match else None
    if seconds is None or seconds > MAX_SECONDS:
        why = f"expected a duration such as 90s, 10m or 1h, of at most {MAX_SECONDS:,} s"
        raise UsageError(f"--soak {text}", why=why, hint="--soak 10m")
    return seconds


def parse_accuracy(text: str) -> int | None:
    """Parse the number of faces to score: None for "none", 0 for "full"."""
    return parse_face_count(text, option="--accuracy", words={"full": 0, "none": None}, example=500)


@dataclass(frozen=True)
class PlanOptions:
    """Options for the amount of measurement, the runtimes and the conditions.

    Attributes:
        threads: thread counts, or None for one thread or the counts registered for the device.
        runtime: runtimes separated by commas, or None for the best installed.
        preset: an entry of PRESETS.
        runs, seconds, rounds: override the preset, or None.
        cooldown: start each round below this temperature, degrees Celsius, or None.
        soak: seconds of continuous inference after the measurement; 0 skips it.
        samples: keep the time of each run.
    """

    threads: tuple[int, ...] | None
    runtime: str | None
    preset: str
    runs: int | None
    seconds: float | None
    rounds: int | None
    cooldown: float | None
    soak: float
    samples: bool


plan_options = option_group(
    "options",
    PlanOptions,
    click.option("--threads", type=parse_threads, metavar="N[,N...]", help="Thread counts to measure.  [default: 1]"),
    click.option("--runtime", metavar="NAME[,NAME...]", help=f"Runtimes: {RUNTIMES}.  [default: the best installed]"),
    click.option(
        "--preset", type=click.Choice(list(PRESETS)), default="quick", show_default=True,
        help="Number of runs and rounds.",
    ),
    click.option(
        "--runs", type=click.IntRange(1, MAX_RUNS), metavar="N", help="Minimum timed runs.  [default: by preset]"
    ),
    click.option(
        "--seconds", type=FiniteRange(0, MAX_SECONDS), metavar="S", help="Minimum timed seconds.  [default: by preset]"
    ),
    click.option("--rounds", type=click.IntRange(1), metavar="N", help="Fresh processes.  [default: by preset]"),
    click.option(
        "--cooldown", type=FiniteRange(0, 150), metavar="C", help="Start each round below this temperature, Celsius."
    ),
    click.option(
        "--soak", type=parse_duration, default="0", metavar="TIME",
        help="Then run this long, such as 10m, and record temperature and clock.",
    ),
    click.option("--samples", is_flag=True, help="Keep the time of each run in the JSON."),
)  # fmt: skip


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=PATH)
@click.option(
    "--device", "devices", type=NAME, multiple=True, is_flag=False, flag_value=LOCAL, metavar="[NAME|USER@HOST]",
    help="Device to measure on; repeat for several in parallel.  [default: local]",
)  # fmt: skip
@click.option(
    "--estimate", is_flag=True, help="Estimate latencies from instructions that --device emulated counts."
)
@click.option("--tag", type=NAME, metavar="TAG", help="Measure on all devices with this tag in devices.toml.")
@click.option("--compare", type=PATH, metavar="MODEL", help="A second model, measured alternately with the first.")
@click.option(
    "--python", type=NAME, metavar="PATH", help="Another Python on this machine, for the runtimes installed there."
)
@plan_options
@click.option(
    "--faces", type=PATH, metavar="FILE", help="An .npz with 'faces', uint8 (n, 48, 48).  [default: synthetic faces]"
)
@click.option(
    "--accuracy", "face_count", type=parse_accuracy, default="none", show_default=True, metavar="full|N|none",
    help="Number of validation images of --data to score, PublicTest for FER2013.",
)  # fmt: skip
@data_options
@feed_options
@click.option("--strict", is_flag=True, help="Exit code 6 if the device was throttled or loaded.")
@click.option("--output-dir", type=OUTPUT_FOLDER, metavar="FOLDER", help="Write one JSON file per device.")
@click.option(
    "--contribute", is_flag=True,
    help="Also write an anonymous copy for benchmarks/boards, to --output-dir or the current folder. A PC, an emulated "
    "board, and a throttled or loaded one are refused.",
)
def command(
    model: Path | None, devices: tuple[str, ...], estimate: bool, tag: str | None, compare: Path | None,
    python: str | None, options: PlanOptions, faces: Path | None, face_count: int | None, data: DataOptions,
    feed: FeedOptions, strict: bool, output_dir: Path | None, contribute: bool,
) -> Result:  # fmt: skip
    """Measure the latency of MODEL on a device, its accuracy there, and the device state during the benchmark.

    The default is the newest .tflite in runs/, or the shipped model small if there is none. A board needs an SSH
    server and a Python with a runtime, which edgefer devices setup installs. edgefer, the model and the faces are
    uploaded once.

    --device emulated counts instructions on an emulated board instead; docs/boards.md describes it.

    The preset quick measures 1,024 runs and 3 s; standard divides 10 s among 5 fresh processes; mlperf
    measures 24,576 runs. Models and runtimes that are compared alternate round by round.

    \b
    Example:
        edgefer bench --device
        edgefer bench model.tflite --device pi@raspberrypi.local --accuracy full
        edgefer bench int8.tflite --compare float32.tflite --preset standard
        edgefer bench --threads 1,2,4 --soak 10m
        edgefer bench --device emulated:script=board.sh,folder=board --estimate
    """
    from edgefer.benchmark.session import select_interpreters

    names = _device_names(devices, tag)
    _check_faces(faces, face_count, data)
    if is_emulated(names, estimate=estimate):
        refused = {
            "--tag": tag, "--python": python, "--faces": faces, "--accuracy": face_count is not None,
            "--strict": strict, "--output-dir": output_dir, "--contribute": contribute,
        }  # fmt: skip
        _check_emulated(options, refused)
        models = [find_contract(path, feed, needs_labels=False) for path in (model, *([compare] if compare else []))]
        return count_instructions(models, names[0], estimate=estimate, runtimes=_runtimes(options.runtime))
    is_local = set(names) == {LOCAL} and not tag
    if python and not is_local:
        hint = "edgefer devices add NAME USER@HOST --python PATH"
        raise UsageError("--python with a board", why="it names an interpreter on this machine", hint=hint)
    if contribute and is_local:
        _check_board()
    wanted = data if face_count is not None else NO_DATA
    first = find_contract(model, feed, data=wanted, needs_labels=face_count is not None)
    log(f"device: {', '.join((*names, *([f'all tagged {tag}'] if tag else [])))}")
    models = [first]
    if compare is not None:
        models.append(find_contract(compare, FeedOptions(), data=wanted, needs_labels=face_count is not None))
    plan = _make_plan(models, _distinct_names((model, compare), models), options, face_count)
    # A missing runtime, and a device that is not registered, are reported before the data set is read.
    selected = () if is_local else _select_devices(names, tag)
    if is_local:
        plan = select_interpreters(plan, python)
        if python and not any(case.python for case in plan.cases):
            log(f"note: --python has no effect without --runtime with a runtime that only {python} has")
    outputs = BenchOutputs(options.samples, output_dir, contribute)
    with tempfile.TemporaryDirectory(prefix="edgefer-faces-") as folder:
        plan = _add_faces(plan, faces, data, folder=Path(folder))
        _log_plan(plan)
        if is_local:
            result, failure = _run_here(plan)
            return make_result([result], [], failure or (result.refusal() if strict else None), outputs)
        uses_default_threads = options.threads is None
        outcomes, failure = _run_on_boards(selected, plan, strict=strict, device_threads=uses_default_threads)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    if len(outcomes) == 1 and failure is not None and not results and not outcomes[0].measurements:
        raise failure
    return make_result(results, outcomes, failure, outputs)


def _check_faces(faces: Path | None, face_count: int | None, data: DataOptions) -> None:
    """Refuse --faces with --accuracy, which measures with the faces of --data; note a data set that is not read."""
    if faces is not None and face_count is not None:
        why = "--accuracy also measures the latency with the images of --data"
        raise UsageError("--faces with --accuracy", why=why, hint="omit --faces, or omit --accuracy and --data")
    given = [option for name, option in DATA_OPTIONS.items() if getattr(data, name) != getattr(NO_DATA, name)]
    if given and face_count is None:
        log(f"note: {given[0]} has no effect without --accuracy")


def _check_board() -> None:
    """Refuse --contribute on a machine that is not a board, before it is measured."""
    from edgefer.device.sysfs import board_model
    from edgefer.results.contribution import check_board

    check_board(board_model(), LOCAL)


def _check_emulated(options: PlanOptions, refused: Mapping[str, Any]) -> None:
    """Refuse the options that need times, accuracy or a board."""
    given = {
        **refused, "--soak": options.soak, "--cooldown": options.cooldown, "--samples": options.samples,
        "--threads": options.threads not in (None, (1,)), "--preset": options.preset != "quick",
        "--runs": options.runs, "--seconds": options.seconds, "--rounds": options.rounds,
    }  # fmt: skip
    for option, value in given.items():
        if value:
            why = "it counts the instructions of one inference with one thread"
            raise UsageError(f"{option} with --device emulated", why=why, hint=f"omit {option}")


def _device_names(devices: tuple[str, ...], tag: str | None) -> tuple[str, ...]:
    for device in devices:
        if device.endswith(".tflite"):
            hint = f"edgefer bench {shlex.quote(device)} --device"
            raise UsageError(f"--device {device}", why="expected a device", hint=hint)
    return devices or (() if tag else (LOCAL,))


def _select_devices(names: Sequence[str], tag: str | None) -> tuple[Device, ...]:
    from edgefer.fleet.registry import Registry  # a bundle does not contain it

    return Registry.read().select(names, tag=tag)


def _distinct_names(given: Sequence[Path | None], models: Sequence[Path]) -> list[str]:
    """Return the shortest last parts of the paths that differ, for models with equal file names; otherwise empty names.

    Args:
        given: the models as the user named them; the file of another program is measured as a copy.
        models: paths of the models.
    """
    paths = [named if named is not None and named.name == model.name else model for named, model in zip(given, models)]
    parts = [path.absolute().parts for path in paths]
    if len({part[-1] for part in parts}) == len(parts):
        return [""] * len(parts)
    for length in range(2, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [""] * len(parts)  # twice the same file


def _make_plan(
    models: Sequence[Path], names: Sequence[str], options: PlanOptions, face_count: int | None
) -> BenchmarkPlan:
    from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan

    cases = [
        BenchmarkCase(str(model), runtime, count, name=name)
        for runtime in _runtimes(options.runtime)
        for count in options.threads or (1,)
        for model, name in zip(models, names)
    ]
    return BenchmarkPlan(
        tuple(cases), preset=options.preset, runs=options.runs, seconds=options.seconds, rounds=options.rounds,
        accuracy=face_count, cooldown_c=options.cooldown, soak_s=options.soak, samples=options.samples,
    )  # fmt: skip


def _runtimes(names: str | None) -> list[str | None]:
    """Split the value of --runtime without duplicates; None is the best installed runtime."""
    from edgefer import plugins

    runtimes = list(dict.fromkeys(name.strip() for name in (AUTO if names is None else names).split(",")))
    for name in runtimes:
        if not name:
            why, hint = "expected names separated by commas", "--runtime litert,tflite_runtime"
            raise UsageError(f"--runtime {names!r}", why=why, hint=hint)
        if name != AUTO:
            plugins.load("edgefer.inference.runtimes", name)
    return [None if name == AUTO else name for name in runtimes]


def _log_plan(plan: BenchmarkPlan) -> None:
    resolved = plan.resolved
    rounds = f", in {resolved.rounds} rounds" if resolved.rounds > 1 else ""
    for count in dict.fromkeys(case.threads for case in plan.cases):
        runs = f"at least {counted(resolved.runs, 'run')} and {resolved.seconds:g} s{rounds}"
        log(f"{counted(count, 'thread')}: {runs}")


def _add_faces(plan: BenchmarkPlan, faces: Path | None, data: DataOptions, *, folder: Path) -> BenchmarkPlan:
    """Return the plan with its faces: those of the user, or with --accuracy one test set per labels and input."""
    from edgefer.benchmark.runner import read_faces
    from edgefer.contract.artifact import Artifact

    # A damaged model is reported before the data set is read and a board is reached.
    artifacts = {case.model: Artifact.load(Path(case.model)) for case in plan.cases}
    if plan.accuracy is not None:
        # Without --data, the data set follows from the first model, so that all models are scored on the same images.
        first = plan.cases[0].model
        resolved = resolve_model_data(Path(first), artifacts[first], data)
        paths: dict[object, str] = {}
        for artifact in artifacts.values():
            key = (artifact.labels, artifact.input_spec)
            if key not in paths:
                paths[key] = str(folder / f"faces-{len(paths)}.npz")
                _write_test_set(Path(paths[key]), artifact, resolved)
        test_sets = {model: paths[artifact.labels, artifact.input_spec] for model, artifact in artifacts.items()}
        return replace(plan, cases=tuple(replace(case, faces=test_sets[case.model]) for case in plan.cases))
    if faces is None:
        return plan
    read_faces(str(faces))
    return replace(plan, faces=str(faces))


def _write_test_set(path: Path, artifact: Artifact, data: DataOptions) -> None:
    """Write the validation split of a data set, prepared for a model, as an .npz."""
    import numpy as np

    from edgefer.data.evaluation_set import make_evaluation_set
    from edgefer.inference.evaluation import pack_test_set

    dataset = open_artifact_data(artifact, data)
    images = make_evaluation_set(dataset, dataset.split("PublicTest"), name="PublicTest", spec=artifact.input_spec)
    arrays: Any = pack_test_set(
        np.asarray(images.faces), images.labels, images.seen_in_training, label_names=artifact.labels,
        split=images.split, data=images.data,
    )  # fmt: skip
    np.savez_compressed(path, **arrays)


def _run_here(plan: BenchmarkPlan) -> tuple[BenchmarkResult, EdgeferError | None]:
    """Run the plan; a failure after the last round is returned with what was complete before it."""
    from edgefer.benchmark.isolation import benchmark_lock
    from edgefer.benchmark.session import run_benchmark
    from edgefer.progress import progress_bar

    partial: list[BenchmarkResult] = []
    try:
        with progress_bar("bench") as progress, benchmark_lock():
            return run_benchmark(plan, progress=progress, on_partial=partial.append), None
    except (EdgeferError, KeyboardInterrupt) as error:
        if not partial:
            raise
        failure = Interrupted.from_exception(error) if isinstance(error, KeyboardInterrupt) else error
        return partial[-1].incomplete(failure), failure


def _run_on_boards(
    devices: Sequence[Device], plan: BenchmarkPlan, *, strict: bool, device_threads: bool
) -> tuple[Sequence[Outcome], EdgeferError | None]:
    """Run the plan on boards, and on this machine if ``devices`` has it; also return the failure to exit with."""
    from edgefer.fleet.limits import check_limits
    from edgefer.fleet.remote_benchmark import RemoteBenchmark, run_remote_benchmarks
    from edgefer.progress import progress_bars

    benchmark = RemoteBenchmark(plan, device_threads)
    with progress_bars([device.name for device in devices]) as progress_of:
        outcomes = run_remote_benchmarks(devices, benchmark, progress_of=progress_of)
    return outcomes, check_limits(outcomes, devices, strict=strict)

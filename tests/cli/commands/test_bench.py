import json
import os
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from edgefer.cli.bench_results import BenchOutputs, make_result
from edgefer.contract.artifact import Artifact
from edgefer.errors import DeviceUnreachable, MeasurementInvalid
from edgefer.fleet.remote_benchmark import Outcome
from edgefer.models import shipped
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.latency import Latency
from edgefer.results.measurement import Measurement

QUICK = ("--runs", 20, "--seconds", 0)
NANO = shipped()["nano"]


def test_each_thread_count_gets_a_measurement(edgefer, workplace):
    outcome = edgefer("bench", workplace.int8, "--threads", "1,2", *QUICK, "--json", "--samples")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("bench", 2)
    assert [measurement["threads"] for measurement in record["measurements"]] == [1, 2]
    for values in record["measurements"]:
        measurement = Measurement.from_json(values)
        assert measurement.invoke.runs == len(measurement.samples.invoke_ns) == 20
        assert measurement.subject["file"] == workplace.int8.name
    assert "2 threads: at least 20 runs and 0 s" in outcome.err


def test_samples_are_left_out_without_the_option(edgefer, workplace):
    record = edgefer("bench", workplace.int8, *QUICK, "--json").record
    assert "samples" not in record["measurements"][0]


@pytest.mark.parametrize("device", [["--device"], ["--device", "local"], []])
def test_without_a_name_the_device_is_this_machine(edgefer, workplace, device):
    outcome = edgefer("bench", workplace.int8, *QUICK, *device)
    assert outcome.code == 0, outcome.err
    assert "device: local" in outcome.err


def test_few_runs_get_a_warning_and_the_table_fits_a_terminal(edgefer, workplace):
    outcome = edgefer("bench", workplace.int8, *QUICK)
    assert "only 20 runs" in outcome.out
    table = [line for line in outcome.out.splitlines() if not line.startswith("warning")]
    assert max(map(len, table)) <= 80
    assert "p50 us" in outcome.out


def test_the_default_model_is_the_newest_artifact(edgefer, workplace):
    outcome = edgefer("bench", *QUICK, cwd=workplace.folder)
    assert outcome.code == 0
    assert "(the newest artifact in runs/)" in outcome.err


def test_faces_can_come_from_a_file(edgefer, workplace, tmp_path):
    np.savez(tmp_path / "faces.npz", faces=np.load(workplace.data)["pixels"][:3])
    assert edgefer("bench", workplace.int8, *QUICK, "--faces", "faces.npz").code == 0


def test_a_model_in_the_place_of_a_device_gets_a_hint(refused):
    assert "edgefer bench model.tflite --device" in refused("bench", "--device", "model.tflite", code=2)
    assert "edgefer bench 'a b.tflite' --device" in refused("bench", "--device", "a b.tflite", code=2)


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--device", "lokal"], 2, "expected one of local"),
        (["--threads", "0"], 2, "--threads 1,2,4"),
        (["--threads", "1,two"], 2, "--threads 1,2,4"),
        (["--threads", ""], 2, "--threads 1,2,4"),
        (["--threads", "²"], 2, "--threads 1,2,4"),
        (["--threads", "99999999999"], 2, "--threads 1"),
        (["--runtime", "litret"], 2, "'litert'"),
        (["--faces", "nowhere.npz"], 1, "nowhere.npz: No such file or directory\n"),
        (["--seconds", "-1"], 2, "--seconds"),
        (["--seconds", "nan"], 2, "--seconds"),
        (["--seconds", "inf"], 2, "--seconds"),
        (["--device", "pi@board", "--python", "/usr/bin/python3"], 2, "devices add"),
        (["--estimate"], 2, "--device emulated"),
    ],
)
def test_invalid_options_get_a_hint(refused, workplace, options, code, named):
    assert named in refused("bench", workplace.int8, *QUICK, *options, code=code)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--device", "emulated"], "$EDGEFER_EMULATOR"),
        (["--device", "emulated", "--device", "local"], "with another device"),
        (["--device", "emulated", "--threads", "2"], "omit --threads"),
        (["--device", "emulated:script"], "KEY=VALUE"),
        (["--device", "emulated:scirpt=a.sh"], "expected one of script, folder"),
        (["--device", "emulated:script=no.sh,folder=x"], "no.sh does not exist"),
        (["--device", "emulated", "--runtime", "tensorflow"], "litert, tflite_runtime"),
        (["--device", "emulated", "--estimate", "--runtime", "tflite_runtime"], "those of XNNPACK"),
        (["--device", "emulated", "--output-dir", "out"], "omit --output-dir"),
        (["--device", "emulated", "--strict"], "omit --strict"),
        (["--device", "emulated", "--preset", "standard"], "omit --preset"),
    ],
)
def test_the_emulated_board_refuses_what_it_cannot_do(refused, workplace, monkeypatch, options, named):
    for name in ("EDGEFER_EMULATOR", "EDGEFER_EMULATED"):
        monkeypatch.delenv(name, raising=False)
    assert named in refused("bench", workplace.int8, *options, code=2)


# A board that counts the first model on its three processors, and fails for the second one.
FAILING_BOARD = """
mkdir -p "$2/rootfs/var/tmp/edgefer"
[ "$1" = exec ] || exit 0
echo >> "$2/calls"
[ $(wc -l < "$2/calls") -le 3 ] || exit 9
echo "instructions 0 1 2 3 4"
echo "instructions 1 6 7 8 9"
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_counted_instructions_before_a_failure_are_shown_and_written(edgefer, tmp_path):
    (tmp_path / "board.sh").write_text(FAILING_BOARD)
    board = f"emulated:script=board.sh,folder={tmp_path / 'board'}"
    outcome = edgefer("bench", NANO, "--compare", "small", "--device", board, "--out", "counts.json")
    assert (outcome.code, "exit code 9" in outcome.err) == (4, True)
    assert "nano-int8" in outcome.out
    record = json.loads((tmp_path / "counts.json").read_text())
    assert (record["kind"], record["subject"]["file"]) == ("instructions", "nano-int8.tflite")


def bench_measurement():
    device = {"board": "Raspberry Pi 5", "machine": "aarch64", "cpu": "Cortex-A76", "cores": 4, "host": "secret"}
    latency = Latency.from_samples(np.full(2000, 100_000))
    return Measurement(
        subject={"file": "secret.tflite", "sha256": "a" * 64, "scheme": "int8"}, device=device, runtime="litert",
        runtime_version="2.3.0", threads=1, kernels="default", started_at="2026-01-02T03:04:05", harness_version="1",
        init_ns=1, first_ns=1, warmup=latency, invoke=latency, set_to_get=latency, cpu=latency, peak_rss_bytes=None,
        load_before=0.0, load_after=0.0,
    )  # fmt: skip


def test_measurements_before_a_failure_are_shown_and_written(tmp_path):
    lost = Outcome("pi4", None, (bench_measurement(),), DeviceUnreachable("the connection to pi4 was lost"))
    outputs = BenchOutputs(samples=False, folder=tmp_path, contribute=False)
    made = make_result([BenchmarkResult("pi5", (bench_measurement(),))], [lost], lost.error, outputs)
    assert "device: pi4\nincomplete: the connection to pi4 was lost" in made.text
    assert made.text.count("secret.tflite: int8") == 2
    assert [bench["device"] for bench in made.record["benches"]] == ["pi5"]
    made.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pi4.partial.bench.json", "pi5.bench.json"]
    record = json.loads((tmp_path / "pi4.partial.bench.json").read_text())
    assert BenchmarkResult.from_json(record).failure == "the connection to pi4 was lost"


def test_a_complete_result_replaces_the_incomplete_one_of_an_earlier_benchmark(tmp_path):
    for device in ("pi4", "pi5"):
        (tmp_path / f"{device}.partial.bench.json").write_text("{}")
    outputs = BenchOutputs(samples=False, folder=tmp_path, contribute=False)
    make_result([BenchmarkResult("pi4", (bench_measurement(),))], [], None, outputs).save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pi4.bench.json", "pi5.partial.bench.json"]


@pytest.mark.parametrize(
    ("error", "code", "named"),
    [(MeasurementInvalid("it took too long"), 6, "it took too long"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_latencies_before_a_failed_evaluation_are_shown_and_written(
    edgefer, data, tmp_path, monkeypatch, error, code, named
):
    def evaluate(request, *, python=""):
        raise error

    monkeypatch.setattr("edgefer.benchmark.session.evaluate_in_subprocess", evaluate)
    options = ("--accuracy", 10, "--data", data, "--output-dir", tmp_path / "out")
    outcome = edgefer("bench", NANO, *QUICK, *options)
    assert outcome.code == code
    assert outcome.out.startswith(f"incomplete: {named}")
    assert "p50 us" in outcome.out
    assert named in outcome.err
    record = json.loads((tmp_path / "out" / "local.partial.bench.json").read_text())
    assert (record["failure"], len(record["measurements"])) == (named, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--faces", "faces.npz", "--accuracy", "full", "--data", "synthetic"], "--faces with --accuracy"),
        (["--faces", "faces.npz", "--accuracy", "10"], "--faces with --accuracy"),
        (["--runtime", "litert,"], "separated by commas"),
        (["--runtime", ""], "separated by commas"),
        (["--cooldown", "nan"], "--cooldown"),
        (["--cooldown", "-300"], "--cooldown"),
        (["--cooldown", "151"], "--cooldown"),
        (["--device", ""], "the value is empty"),
        (["--tag", ""], "the value is empty"),
        (["--python", ""], "the value is empty"),
        (["--runs", "1000000001"], "--runs"),
        (["--seconds", "1e9"], "--seconds"),
        (["--soak", "1000h"], "at most 500,000 s"),
    ],
)
def test_options_without_an_effect_or_out_of_range_are_refused(refused, options, named):
    assert named in refused("bench", NANO, *options, code=2)


@pytest.mark.parametrize("options", [("--data", "synthetic"), ("--skip-bad-rows",)], ids=["data", "bad-rows"])
def test_a_data_set_without_accuracy_is_noted(edgefer, options):
    assert f"note: {options[0]} has no effect without --accuracy" in edgefer("bench", NANO, *QUICK, *options).err


def test_an_interpreter_that_no_case_uses_is_noted(edgefer):
    noted = edgefer("bench", NANO, *QUICK, "--python", sys.executable)
    assert f"note: --python has no effect without --runtime with a runtime that only {sys.executable} has" in noted.err


def test_a_runtime_that_is_named_twice_is_measured_once(edgefer):
    outcome = edgefer("bench", NANO, *QUICK, "--runtime", "litert, litert", "--json")
    assert [measurement["runtime"] for measurement in outcome.record["measurements"]] == ["litert"]


def test_models_with_equal_file_names_are_told_apart_by_their_folders(edgefer, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(NANO, tmp_path / folder / "net.tflite")
    outcome = edgefer("bench", "a/net.tflite", "--compare", "b/net.tflite", *QUICK, "--rounds", 1)
    text = " ".join(outcome.out.split())
    assert "b/net.tflite on litert, 1 thread, takes" in text
    assert "x a/net.tflite on litert, 1 thread" in text


def test_a_result_is_contributed_without_names_or_refused(tmp_path):
    measurement = bench_measurement()
    board = BenchmarkResult("secret", (measurement,))
    pc = BenchmarkResult("pc", (replace(measurement, device={**measurement.device, "board": None}),))
    made = make_result([board, pc], [], None, BenchOutputs(samples=False, folder=tmp_path, contribute=True))
    assert "pc" in str(made.failure)
    assert "benchmarks/boards/README.md" in made.save()
    assert sorted(path.name for path in tmp_path.glob("[ps]*")) == ["pc.bench.json", "secret.bench.json"]
    (contribution,) = tmp_path.glob("raspberry-pi-5-*.bench.json")
    assert "secret" not in contribution.read_text()


def test_a_run_folder_is_not_a_model(refused, workplace):
    assert "it is a run" in refused("bench", workplace.run, code=1)


SSH = """#!/bin/bash
previous=""
for word in "$@"; do
    [ "$previous" = -- ] && host=$word
    [ "$word" = exit ] && exit 0
    previous=$word command=$word
done
export HOME=$BOARDS/${host#*@} XDG_CACHE_HOME= XDG_DATA_HOME=
mkdir -p "$HOME"
[ "${host#*@}" = noisy ] && echo "Welcome to noisy"
[ "${host#*@}" = closed ] && exit 0
exec bash -c "$command"
"""


def test_boards_with_a_greeting_or_without_a_shell_keep_the_results_of_the_others(
    edgefer, workplace, tmp_path, monkeypatch
):
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("BOARDS", str(tmp_path))
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "devices.toml"))
    for name, address in {"good": "pi@good", "a.b": "pi@noisy", "closed": "pi@closed"}.items():
        assert edgefer("devices", "add", name, address, "--python", sys.executable).code == 0
    devices = [word for name in ("good", "a.b", "closed") for word in ("--device", name)]
    outcome = edgefer("bench", workplace.int8, *QUICK, *devices, "--output-dir", tmp_path / "out", "--json")
    assert outcome.code == 4
    assert [bench["device"] for bench in outcome.record["benches"]] == ["good", "a.b"]
    assert [failure["device"] for failure in outcome.record["failures"]] == ["closed"]
    assert "login shell of closed" in outcome.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.b.bench.json", "good.bench.json"]


def test_addresses_that_differ_in_replaced_characters_get_different_files(edgefer, workplace, tmp_path, monkeypatch):
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name in ("ssh", "python3"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("BOARDS", str(tmp_path))
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "devices.toml"))
    devices = ("--device", "pi@a_b", "--device", "pi@a+b")
    outcome = edgefer("bench", workplace.int8, *QUICK, *devices, "--output-dir", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["pi_a_b.bench.json", "pi_a_b~2.bench.json"]
    assert {json.loads((tmp_path / "out" / name).read_text())["device"] for name in files} == {"pi@a_b", "pi@a+b"}


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--device", "nowhere"], 2, "unknown device"),
        (["--tag", "none"], 2, "no device has the tag"),
        (["--python", "/no/python"], 2, "no Python at /no/python"),
    ],
)
def test_the_device_is_checked_before_the_data_set_is_read(refused, tmp_path, monkeypatch, options, code, named):
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "devices.toml"))
    assert named in refused("bench", "--accuracy", "full", "--data", "nowhere.csv", *options, code=code)


def save_with_labels(path, labels):
    """Write a copy of nano with other labels."""
    replace(Artifact.load(NANO), labels=labels).save(path)
    return path


def test_compared_models_are_scored_in_their_own_order_of_labels(edgefer, data, tmp_path):
    labels = list(Artifact.load(NANO).labels)
    happy, neutral = labels.index("happy"), labels.index("neutral")
    labels[happy], labels[neutral] = labels[neutral], labels[happy]
    other = save_with_labels(tmp_path / "other.tflite", tuple(labels))
    options = ("--accuracy", "full", "--data", data, "--rounds", 1, "--json")
    bench = edgefer("bench", NANO, "--compare", other, *QUICK, *options)
    assert bench.code == 0, bench.err
    correct = [evaluation["accuracy"]["correct"] for evaluation in bench.record["evaluations"]]
    alone = [
        edgefer("evaluate", path, "--data", data, "--json").record["accuracy"]["correct"] for path in (NANO, other)
    ]
    assert correct == alone
    assert correct[0] != correct[1]

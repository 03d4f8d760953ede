import threading

import pytest

from edgefer.benchmark.isolation import benchmark_lock
from edgefer.errors import IncompatibleError, UsageError
from edgefer.inspection.resources import count_macs
from edgefer.inspection.sandbox import inspect_in_subprocess
from edgefer.search.judge import open_judge
from edgefer.search.judges import macs


@pytest.fixture
def stop():
    return threading.Event()


def test_macs_are_those_of_inspect(model_path, stop):
    judge = open_judge("macs", options={}, devices=())
    judge.check()
    assert judge.measure(model_path, place=0, stop=stop).value == inspect_in_subprocess(model_path).macs


def test_a_model_with_an_operator_without_a_formula_is_refused(model_path, stop, monkeypatch):
    unknown = []

    def first_convolution_unknown(graph, op):
        if op.name == "CONV_2D" and not unknown:
            unknown.append(op)
            return None
        return count_macs(graph, op)

    monkeypatch.setattr(macs, "count_macs", first_convolution_unknown)
    with pytest.raises(IncompatibleError, match="MACs of CONV_2D"):
        open_judge("macs", options={}, devices=()).measure(model_path, place=0, stop=stop)


def test_the_local_judge_measures_microseconds_and_waits_for_other_benchmarks(model_path, stop, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    judge = open_judge("local", options={"seconds": "0"}, devices=())
    judge.check()
    costs = []
    with benchmark_lock():
        thread = threading.Thread(target=lambda: costs.append(judge.measure(model_path, place=0, stop=stop)))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert costs[0].value > 0


def test_the_device_judge_measures_on_a_registered_device(model_path, stop, monkeypatch, tmp_path):
    (tmp_path / "devices.toml").write_text('[here]\nkind = "local"\n[there]\nkind = "local"\n')
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "devices.toml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    judge = open_judge("device", options={"seconds": "0"}, devices=("here", "there"))
    assert judge.places == 2
    judge.check()
    cost = judge.measure(model_path, place=1, stop=stop)
    assert cost.device == "there"
    assert cost.value > 0


@pytest.mark.parametrize(
    ("name", "options", "devices", "message"),
    [
        ("mac", {}, (), "no 'mac'"),
        ("macs", {"x": "1"}, (), "no option x"),
        ("macs", {}, ("pi4",), "--device"),
        ("local", {"seconds": "x"}, (), "seconds=x"),
        ("local", {"seconds": "9" * 400}, (), "expected a finite number"),
        ("local", {}, ("pi4",), "it measures here"),
        ("device", {}, (), "without --device"),
        ("emulated", {}, (), "needs script"),
        ("emulated", {"script": "missing.sh", "folder": "x"}, (), "does not exist"),
    ],
)
def test_an_invalid_judge_is_refused(name, options, devices, message):
    with pytest.raises(UsageError) as raised:
        open_judge(name, options=options, devices=devices)
    assert message in str(raised.value)

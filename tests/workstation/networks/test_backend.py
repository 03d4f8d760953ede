import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer.errors import UsageError
from edgefer.workstation.networks.backend import load_keras, numeric_choices, pin_environment

ROOT = Path(__file__).parents[3]
HOSTILE = {"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "jax"}
REPORT = """
from edgefer.workstation.networks.backend import load_keras
keras = load_keras()
import tf_keras
for config in (keras.config, tf_keras.backend):
    print(config.floatx(), config.epsilon(), config.image_data_format())
print(keras.config.backend(), keras.config.max_epochs())
"""


@pytest.fixture
def unpinned(monkeypatch, tmp_path):
    """Let pin_environment() work as in a new process whose keras.json is in the returned folder."""
    # tensorflow-model-optimization sets the last one.
    names = ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS", "TF_USE_LEGACY_KERAS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_an_unknown_backend_is_rejected(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(UsageError, match="unknown Keras backend 'theano': expected one of tensorflow, jax, torch"):
        load_keras()


def test_a_process_keeps_its_first_backend():
    keras = load_keras(backend="tensorflow")
    assert load_keras(backend="tensorflow") is keras
    with pytest.raises(UsageError, match="runs Keras on tensorflow") as caught:
        load_keras(backend="torch")
    assert caught.value.hint == "KERAS_BACKEND=torch"


@pytest.mark.slow
def test_keras_json_and_variables_change_nothing(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(HOSTILE))
    inherited = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    hostile = {
        "KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1", "TF2_BEHAVIOR": "0", "XLA_FLAGS": "--nonsense",
        "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", REPORT], env={**inherited, **hostile}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["float32 1e-07 channels_last"] * 2 + ["tensorflow None"]


def test_settings_that_do_not_apply_are_listed_once(unpinned, monkeypatch):
    path = unpinned / "keras.json"
    path.write_text(json.dumps(HOSTILE))
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "0")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_cuda_data_dir=/opt/cuda --xla_cpu_enable_fast_math=true")
    assert pin_environment() == (
        f"floatx float16 in {path}",
        f"epsilon 0.1 in {path}",
        f"image_data_format channels_first in {path}",
        f"backend jax in {path}",
        "TF_DETERMINISTIC_OPS=0",
        "JAX_ENABLE_X64=1",
        "XLA_FLAGS",
    )
    assert os.environ["TF_DETERMINISTIC_OPS"] == "1"
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_cuda_data_dir=/opt/cuda"
    assert "JAX_ENABLE_X64" not in os.environ
    assert pin_environment() == ()


@pytest.mark.parametrize("content", ["{", "[]", "\0"])
def test_a_damaged_keras_json_is_ignored(unpinned, content):
    (unpinned / "keras.json").write_text(content)
    assert pin_environment() == (f"{unpinned / 'keras.json'}, which cannot be read",)


def test_the_file_that_keras_writes_itself_is_not_reported(unpinned):
    defaults = {"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow", "image_data_format": "channels_last"}
    (unpinned / "keras.json").write_text(json.dumps(defaults))
    assert pin_environment() == ()


def test_variables_that_select_hardware_stay(unpinned, monkeypatch):
    chosen = {"CUDA_VISIBLE_DEVICES": "1", "JAX_PLATFORMS": "cpu", "TF_NUM_INTRAOP_THREADS": "1"}
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert pin_environment() == ()
    assert chosen.items() <= os.environ.items()
    assert numeric_choices() == {"TF_NUM_INTRAOP_THREADS": "1"}


@pytest.mark.parametrize(("name", "value"), [("floatx", "float16"), ("image_data_format", "channels_first"),
                                             ("epsilon", 1e-3), ("dtype_policy", "mixed_float16")])  # fmt: skip
def test_other_defaults_of_a_program_are_rejected(name, value):
    keras = load_keras(backend="tensorflow")
    previous = getattr(keras.config, name)()
    getattr(keras.config, f"set_{name}")(value)
    try:
        with pytest.raises(UsageError) as caught:
            load_keras(backend="tensorflow")
    finally:
        getattr(keras.config, f"set_{name}")(previous)
    assert f"keras.config.set_{name}(" in caught.value.hint
    assert str(value) in str(caught.value)

"""ONNX files are converted by the program onnx2tf; a script stands in for it, because it needs its own TensorFlow."""

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.workstation.importing.formats import onnx_file
from edgefer.workstation.importing.network import find_format, read_network
from edgefer.workstation.quantization.converter import convert


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "emotions.onnx"
    path.write_bytes(b"\x08\x08\x12\x07pytorch")
    return path


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """Return a function that makes a shell script the converter."""

    def install(script):
        program = tmp_path / "onnx2tf"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("EDGEFER_ONNX2TF", str(program))

    return install


def test_name_decides_the_format(model, tmp_path):
    assert find_format(model) == "onnx_file"
    assert onnx_file.find_code(model) == []
    assert not onnx_file.matches(tmp_path / "missing.onnx")


def test_float_flatbuffer_of_the_converter_is_imported(model, converter, small_network, tmp_path):
    flatbuffer = convert(small_network)
    (tmp_path / "source.tflite").write_bytes(flatbuffer)
    converter(
        f'test "$1 $2 $3 $5 $6" = "-i {model} -o -b 1" || exit 9; cp {tmp_path}/source.tflite "$4/x_float32.tflite"'
    )
    (tmp_path / "private").mkdir()
    network = read_network(model, folder=tmp_path / "private")
    assert network.flatbuffer == flatbuffer
    assert network.keras is None
    assert network.kind == "an ONNX file (.onnx)"


def test_missing_converter_names_the_commands_that_install_it(model, monkeypatch):
    monkeypatch.delenv("EDGEFER_ONNX2TF", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(IncompatibleError, match="not on the PATH") as caught:
        onnx_file.read(model, trust=False)
    assert "pip install onnx2tf" in caught.value.hint
    monkeypatch.setenv("EDGEFER_ONNX2TF", "/missing/onnx2tf")
    with pytest.raises(IncompatibleError, match="names /missing/onnx2tf"):
        onnx_file.read(model, trust=False)


@pytest.mark.parametrize("script", ["echo 'ERROR: no operator Foo' >&2; exit 1", "echo 'ERROR: no operator Foo'"])
def test_failure_of_the_converter_is_quoted(model, converter, script):
    converter(script)
    with pytest.raises(DataError, match=r"cannot convert emotions\.onnx.*no operator Foo"):
        onnx_file.read(model, trust=False)

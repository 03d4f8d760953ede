"""The C++ source compiles without warnings and has the content of the artifact; skipped without a compiler."""

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.deploy.c_array import c_array
from edgefer.errors import IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.models import SHIPPED

pytestmark = pytest.mark.usefixtures("litert")

COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler: the source was not compiled")
WARNINGS = ("-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")

# A firmware whose interpreter returns the golden outputs, shifted by the first argument.
MAIN = """
#include "{header}"
#include <cstdio>
#include <cstdlib>
namespace fer = {namespace};

struct Resolver {{
{functions}
}};

struct Interpreter {{
  fer::Input input[fer::kHeight * fer::kWidth];
  fer::Output output[fer::kClasses];
  int runs, drift;
  template <typename T> T* typed_input_tensor(int);
  template <typename T> T* typed_output_tensor(int);
  int Invoke() {{
    for (int i = 0; i < fer::kClasses; ++i) {{
      output[i] = static_cast<fer::Output>(fer::kGoldenOutputs[runs][i] + drift);
    }}
    ++runs;
    return 0;
  }}
}};
template <> fer::Input* Interpreter::typed_input_tensor<fer::Input>(int) {{ return input; }}
{output_tensor}

int main(int, char** arguments) {{
  Resolver resolver;
  Interpreter interpreter = Interpreter();
  interpreter.drift = std::atoi(arguments[1]);
  std::printf("%d\\n", fer::AddOperators(resolver));
  std::printf("%d\\n", fer::SelfTest(interpreter));
  std::printf("%s\\n", fer::kLabels[fer::Best(interpreter)]);
  std::printf("%d\\n", static_cast<int>(reinterpret_cast<uintptr_t>(fer::kModel) % 16));
  std::fwrite(interpreter.input, sizeof(interpreter.input), 1, stdout);
  std::fwrite(fer::kModel, fer::kModelBytes, 1, stdout);
}}
"""
OUTPUT_TENSOR = "template <> fer::Output* Interpreter::typed_output_tensor<fer::Output>(int) { return output; }"


def compile_main(source, folder):
    """Compile MAIN with the two files of ``source``, and return the path of the program."""
    for name, text in source.files.items():
        (folder / name).write_text(text)
    header, implementation = source.files
    functions = "\n".join(
        f'  int Add{name}() {{ std::printf("{name} "); return 0; }}' for name in source.requirements.operators
    )
    main = MAIN.format(header=header, namespace=source.namespace, functions=functions, output_tensor=OUTPUT_TENSOR)
    (folder / "main.cc").write_text(main)
    command = [COMPILER, *WARNINGS, "-o", "main", "main.cc", implementation]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "main"


@pytest.fixture(params=["shipped", "tiny"])
def subject(request, artifact):
    return Artifact.load(SHIPPED) if request.param == "shipped" else artifact


@needs_compiler
def test_source_compiles_with_the_model_and_encodes_like_the_classifier(subject, tmp_path):
    program = compile_main(source := c_array(subject, name="a model-1"), tmp_path)
    printed = subprocess.run([program, "0"], capture_output=True, check=True).stdout
    added, tested, label, aligned, memory = printed.split(b"\n", 4)
    assert added.decode().split() == [*source.requirements.operators, "1"]
    assert (tested, aligned) == (b"1", b"0")
    assert memory.endswith(subject.model)
    classifier = Classifier.from_artifact(subject)
    encoded = np.frombuffer(memory[: -len(subject.model)], classifier.runtime.input.params.dtype)
    matching = [(classifier.encode(face).ravel() == encoded).all() for face in subject.golden.inputs]
    assert any(matching)
    best = np.argmax(subject.golden.outputs[matching.index(True)])
    assert label.decode() == subject.labels[best]


def test_temperature_is_a_constant_in_the_header(int8_artifact):
    warm = dataclasses.replace(int8_artifact, temperature=1.37)
    header = c_array(warm, name="model").files["model.h"]
    assert "constexpr float kTemperature = 1.37f;" in header
    assert "the softmax of\n// logits / kTemperature." in header
    assert "kTemperature = 1.0f;" in c_array(int8_artifact, name="model").files["model.h"]


@needs_compiler
def test_self_test_accepts_exactly_the_tolerance(int8_artifact, tmp_path):
    program = compile_main(c_array(int8_artifact, name="model"), tmp_path)
    results = {
        drift: subprocess.run([program, drift], capture_output=True, check=True).stdout.split(b"\n")[1]
        for drift in ("3", "4", "5")
    }
    assert results == {"3": b"1", "4": b"1", "5": b"0"}


@needs_compiler
def test_labels_and_provenance_are_escaped(int8_artifact, tmp_path):
    labels = ('a"b', "c\\", "d??/e", "f\ng", "é", "*/", "h%s")
    hostile = dataclasses.replace(
        int8_artifact, labels=labels, provenance={"system": "x\\\n#error no\n*/ ??/", "data": {"name": "\r#error"}}
    )
    program = compile_main(c_array(hostile, name="int"), tmp_path)
    label = subprocess.run([program, "0"], capture_output=True, check=True).stdout.split(b"\n", 2)[2]
    assert any(label.startswith(expected.encode()) for expected in labels)


def test_same_model_gives_the_same_files(artifact):
    assert c_array(artifact, name="model") == c_array(artifact, name="model")


def test_header_has_the_values_of_the_contract():
    artifact = Artifact.load(SHIPPED)
    exported = c_array(artifact, name=SHIPPED.stem)
    header, source = exported.files.values()
    assert list(exported.files) == ["small_int8.h", "small_int8.cc"]
    constants = dict(re.findall(r"constexpr \w+(?: \w+)? (k\w+)(?:\[\])? = (.*);", header))
    scores = artifact.provenance["scores"]
    assert float(constants["kInputScale"].rstrip("f")) == pytest.approx(1 / 255, rel=1e-6)
    assert constants["kInputZeroPoint"] == "-128"
    assert constants["kSha256"].strip('"') == artifact.sha256
    assert int(constants["kModelBytes"]) == len(artifact.model)
    assert (constants["kHeight"], constants["kWidth"], constants["kClasses"]) == ("48", "48", "7")
    assert f"{100 * scores['accuracy']:.2f} % of {scores['n']} images of {scores['split']}" in header
    assert int(constants["kArenaBytes"]) == exported.requirements.arena_bytes
    assert max(map(len, header.splitlines())) <= 120
    assert source.count('"') == 2 * len(artifact.labels) + 2


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("compact_small-int8", "compact_small_int8"),
        ("2nd  model", "2nd_model"),
        ("__a__b__", "a_b"),
        ("../x/y", "x_y"),
        ("é", "model"),
        ("", "model"),
    ],
)
def test_names_become_valid_identifiers(int8_artifact, name, stem):
    source = c_array(int8_artifact, name=name)
    assert list(source.files) == [f"{stem}.h", f"{stem}.cc"]
    assert source.namespace == f"fer_{stem}"
    assert f"namespace fer_{stem} {{" in source.files[f"{stem}.h"]


def test_model_that_does_not_reproduce_its_golden_vectors_is_refused(int8_artifact):
    outputs = int8_artifact.golden.outputs[::-1]
    golden = dataclasses.replace(int8_artifact.golden, outputs=outputs, reference=outputs)
    with pytest.raises(IncompatibleError, match="golden vector"):
        c_array(dataclasses.replace(int8_artifact, golden=golden), name="model")

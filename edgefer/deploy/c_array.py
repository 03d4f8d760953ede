"""Convert a model to C++ source for TensorFlow Lite Micro: the flatbuffer as an array, the contract as constants.

    source = c_array(artifact, name="small-int8")
    source.files                                    # {"small_int8.h": ..., "small_int8.cc": ...}

The output is a header and a .cc file, like that of generate_cc_arrays.py in TensorFlow Lite Micro. C++ has the alignas
that a flatbuffer needs. The header includes nothing of TensorFlow: its functions are templates over the resolver and
the interpreter. The same artifact gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import __version__
from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.preprocessing import encoder
from edgefer.contract.quantization_params import QuantParams
from edgefer.contract.split_names import split_phrase
from edgefer.deploy.tflm import MicroRequirements, micro_requirements
from edgefer.errors import IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.inspection.flatbuffer import read_model

__all__ = ["CArray", "c_array"]

RUNTIME = "litert"  # the runtime that has the flatbuffer schema
GOLDEN_VECTORS = 3
BYTES_PER_LINE = 20
RESIZED = {"area": "area-averaged", "linear": "interpolated", "nearest": "sampled", "cubic": "interpolated (cubic)"}
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "float32": "float"}
# Characters of a string literal that need no escape. "?" needs one, because "??/" is a backslash.
UNESCAPED = re.compile(r"[A-Za-z0-9 _.,:+/-]")


@dataclass(frozen=True)
class CArray:
    """C++ source of a model.

    Attributes:
        files: content of the header and of the source by file name.
        namespace: namespace of all definitions.
        requirements: operators and memory of the model.
    """

    files: dict[str, str]
    namespace: str
    requirements: MicroRequirements


def c_array(artifact: Artifact, *, name: str) -> CArray:
    """Convert an artifact to C++ source, after replaying its golden vectors.

    Args:
        artifact: model and contract.
        name: stem of the files and the namespace; characters other than letters, digits and underscores become
            underscores.

    Raises:
        IncompatibleError: the input is in color, the output is not logits, TensorFlow Lite Micro cannot run the model,
            LiteRT is not installed, or LiteRT does not
            reproduce the golden vectors.
    """
    if artifact.input_spec.channels != "gray" or artifact.output != "logits":
        actual = f"{artifact.input_spec.channels} input and {artifact.output} as output"
        raise IncompatibleError(
            f"C++ source of a model with {actual}", why="expected gray input and logits", hint="edgefer export --zip"
        )
    # read_model() requires a file that an interpreter has loaded.
    classifier = Classifier.from_artifact(artifact, runtime=RUNTIME)
    requirements = micro_requirements(read_model(artifact.model))
    _check_types(classifier)
    # The prefix "fer_" prevents collisions of the namespace with C++ keywords and names in the firmware.
    stem = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "model"
    writer = _Writer(artifact, stem, requirements, classifier.runtime.input.params, classifier.runtime.output.params)
    return CArray({f"{stem}.h": writer.header(), f"{stem}.cc": writer.source()}, writer.namespace, requirements)


def _check_types(classifier: Classifier) -> None:
    for tensor in (classifier.runtime.input, classifier.runtime.output):
        if tensor.params.dtype not in C_TYPES:
            what = f"the model has an input or output of type {tensor.params.dtype}"
            raise IncompatibleError(what, why=f"expected {', '.join(C_TYPES)}", hint="edgefer quantize --int8")


@dataclass(frozen=True)
class _Writer:
    artifact: Artifact
    stem: str
    requirements: MicroRequirements
    input: QuantParams
    output: QuantParams

    @property
    def namespace(self) -> str:
        return f"fer_{self.stem}"

    def header(self) -> str:
        guard = f"EDGEFER_{self.stem.upper()}_H_"
        about = "\n".join(f"// {line}".rstrip() for line in (*_about(self.artifact, self.stem), *self._usage()))
        calls = "".join(f" &&\n         resolver.Add{name}() == 0" for name in self.requirements.operators)
        spec = self.artifact.input_spec
        return HEADER.format(
            about=about,
            guard=guard,
            namespace=self.namespace,
            model_bytes=len(self.artifact.model),
            sha256=self.artifact.sha256,
            classes=len(self.artifact.labels),
            height=spec.height,
            width=spec.width,
            input_type=C_TYPES[self.input.dtype],
            input_scale=_float(self.input.scale),
            input_zero_point=self.input.zero_point,
            value="p / 255" if spec.is_plain else f"(p - {spec.mean[0]:g}) / {spec.std[0]:g}",
            table="" if self._is_simple() else "extern const Input kEncodedPixels[256];\n",
            encode=self._encode(),
            output_type=C_TYPES[self.output.dtype],
            output_scale=_float(self.output.scale),
            output_zero_point=self.output.zero_point,
            temperature=_float(self.artifact.temperature),
            planned_bytes=self.requirements.planned_bytes,
            scratch_bytes=self.requirements.scratch_bytes,
            persistent_bytes=self.requirements.persistent_bytes,
            arena_bytes=self.requirements.arena_bytes,
            operators=len(self.requirements.operators),
            calls=calls.removeprefix(" &&\n         "),
            golden_vectors=len(self._golden_indices()),
            tolerance=_float(self.artifact.golden.tolerance),
            unit=self.artifact.golden.unit,
        )

    def source(self) -> str:
        golden, indices = self.artifact.golden, self._golden_indices()
        faces = ",\n".join("{" + _numbers(golden.inputs[index].ravel().tolist()) + "}" for index in indices)
        outputs = ",\n".join("{" + ", ".join(self._values(golden.outputs[index])) + "}" for index in indices)
        return SOURCE.format(
            stem=self.stem,
            namespace=self.namespace,
            labels=",\n".join(f'    "{_escaped(label)}"' for label in self.artifact.labels),
            table=self._table(),
            faces=faces,
            outputs=outputs,
            model=_numbers(self.artifact.model),
        )

    def _usage(self) -> list[str]:
        return USAGE.format(stem=self.stem, namespace=self.namespace).splitlines()

    def _golden_indices(self) -> list[int]:
        return _select_golden(self.artifact.golden)

    def _values(self, outputs: npt.NDArray[Any]) -> list[str]:
        is_integer = np.issubdtype(outputs.dtype, np.integer)
        return [str(value) if is_integer else _float(value) for value in outputs.tolist()]

    def _encode(self) -> str:
        if self.input.dtype == "float32" and self.artifact.input_spec.is_plain:
            return "return static_cast<float>(pixel) / 255.0f;"
        if not self._is_simple():
            return "return kEncodedPixels[pixel];"
        return f"return static_cast<Input>(static_cast<int>(pixel) + ({self._offsets()[0]}));"

    def _is_simple(self) -> bool:
        """Return True if one addition or division encodes a pixel, so that no table is needed."""
        if self.input.dtype == "float32":
            return self.artifact.input_spec.is_plain
        return len(set(self._offsets())) == 1

    def _offsets(self) -> list[int]:
        offsets: list[int] = (self._pixel_table().astype(np.int64) - np.arange(256)).tolist()
        return offsets

    def _table(self) -> str:
        if self._is_simple():
            return ""
        values = self._pixel_table().tolist()
        numbers = [_float(value) for value in values] if self.input.dtype == "float32" else values
        return f"const Input kEncodedPixels[256] = {{{_numbers(numbers)}}};\n\n"

    def _pixel_table(self) -> npt.NDArray[Any]:
        return encoder(self.input, self.artifact.input_spec)


def _select_golden(golden: Golden) -> list[int]:
    """Return the indices of GOLDEN_VECTORS vectors, ascending, with as many different predictions as possible."""
    first = {int(label): index for index, label in reversed(list(enumerate(np.argmax(golden.outputs, axis=1))))}
    others = [index for index in range(len(golden.inputs)) if index not in first.values()]
    return sorted([*sorted(first.values()), *others][:GOLDEN_VECTORS])


def _about(artifact: Artifact, stem: str) -> list[str]:
    provenance, spec = artifact.provenance, artifact.input_spec
    resized = RESIZED[spec.resize]
    fields = {
        "system": provenance.get("system"),
        "scheme": artifact.scheme,
        "accuracy": _accuracy(provenance.get("scores"), provenance.get("data")),
        "data": _name(provenance.get("data")),
        "calibration": _name(provenance.get("calibration")),
        "converter": provenance.get("converter"),
        "labels": ", ".join(artifact.labels),
        "input": f"{spec.width} x {spec.height} gray pixels of one face, cropped and {resized} to that size",
        "sha256": f"{artifact.sha256} (of the flatbuffer)",
    }
    if spec.clahe is not None:
        tiles = spec.clahe.tiles
        fields["then"] = f"CLAHE, clip limit {spec.clahe.clip_limit:g}, {tiles} x {tiles} tiles; not part of this code"
    lines = [f"{key + ':':<13}{_comment(str(value))}" for key, value in fields.items() if value]
    return [f"{stem}.h: a model for TensorFlow Lite Micro, generated by edgefer {__version__}", "", *lines, ""]


def _name(origin: object) -> object:
    if not isinstance(origin, dict):
        return origin
    return origin.get("name") or origin.get("set") or (f"{origin['faces']} faces" if "faces" in origin else None)


def _accuracy(scores: object, data: object) -> str | None:
    if not isinstance(scores, dict) or not isinstance(scores.get("accuracy"), float):
        return None
    split = split_phrase(str(scores.get("split")), data=str(data.get("name")) if isinstance(data, dict) else "")
    return f"{100 * scores['accuracy']:.2f} % of {scores.get('n')} images of {split}"


def _comment(text: str) -> str:
    # A comment line that ends with a backslash or "??/" continues on the next line.
    return re.sub(r"[^ -~]|[\\?]", "_", text)


def _escaped(text: str) -> str:
    return "".join(chr(byte) if UNESCAPED.match(chr(byte)) else f"\\{byte:03o}" for byte in text.encode())


def _float(value: float) -> str:
    # Nine digits identify every float32.
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _numbers(values: bytes | Iterable[int | str]) -> str:
    numbers = [str(value) for value in values]
    starts = range(0, len(numbers), BYTES_PER_LINE)
    return "\n" + ",\n".join(",".join(numbers[start : start + BYTES_PER_LINE]) for start in starts) + "\n"


USAGE = """\
Usage in a firmware, with C++11 and tflite-micro:

    #include "{stem}.h"
    #include "tensorflow/lite/micro/micro_interpreter.h"
    #include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    namespace fer = {namespace};

    alignas(16) static uint8_t arena[fer::kArenaBytes];
    static tflite::MicroMutableOpResolver<fer::kOperatorCount> resolver;

    if (!fer::AddOperators(resolver)) return;
    static tflite::MicroInterpreter interpreter(
        tflite::GetModel(fer::kModel), resolver, arena, fer::kArenaBytes);
    if (interpreter.AllocateTensors() != kTfLiteOk) return;  // kArenaBytes is too small
    if (!fer::SelfTest(interpreter)) return;  // the golden vectors are not reproduced

    fer::SetInput(interpreter, pixels);  // uint8_t[fer::kHeight * fer::kWidth], row by row
    if (interpreter.Invoke() != kTfLiteOk) return;
    const char* label = fer::kLabels[fer::Best(interpreter)];
"""

HEADER = """\
{about}
#ifndef {guard}
#define {guard}

#include <stddef.h>
#include <stdint.h>

namespace {namespace} {{

// The flatbuffer, aligned to 16 bytes.
constexpr size_t kModelBytes = {model_bytes};
extern const unsigned char kModel[kModelBytes];
constexpr char kSha256[] = "{sha256}";

constexpr int kClasses = {classes};
extern const char* const kLabels[kClasses];

// The input: one gray image. A pixel p has the value {value} = kInputScale * (Encode(p) - kInputZeroPoint).
// A scale of 0 means that the tensor is not quantized.
typedef {input_type} Input;
constexpr int kHeight = {height};
constexpr int kWidth = {width};
constexpr float kInputScale = {input_scale};
constexpr int kInputZeroPoint = {input_zero_point};
{table}inline Input Encode(uint8_t pixel) {{ {encode} }}

// The output: one logit per label, kOutputScale * (q - kOutputZeroPoint). Calibrated probabilities are the softmax of
// logits / kTemperature. The most probable label does not depend on the temperature.
typedef {output_type} Output;
constexpr float kOutputScale = {output_scale};
constexpr int kOutputZeroPoint = {output_zero_point};
constexpr float kTemperature = {temperature};

// Memory. kPlannedArenaBytes is the size of the memory plan: activations, input and output. Outside the plan are
// data about tensors, operators and channels (at most {persistent_bytes} bytes with 64-bit pointers) and the scratch
// memory of optimized kernels (CMSIS-NN convolutions add {scratch_bytes} bytes). kArenaBytes is the sum in whole KiB.
// Kernels that need more scratch memory, such as those of ESP-NN, are not included: start with a larger arena, and
// then read interpreter.arena_used_bytes().
constexpr size_t kPlannedArenaBytes = {planned_bytes};
constexpr size_t kArenaBytes = {arena_bytes};

// Adds the operators of the model to a tflite::MicroMutableOpResolver<kOperatorCount>.
constexpr unsigned int kOperatorCount = {operators};
template <typename Resolver>
bool AddOperators(Resolver& resolver) {{
  return {calls};
}}

// Synthetic faces with their outputs on the workstation. Other kernels may differ by kGoldenTolerance {unit}.
constexpr int kGoldenVectors = {golden_vectors};
constexpr float kGoldenTolerance = {tolerance};
extern const uint8_t kGoldenInputs[kGoldenVectors][kHeight * kWidth];
extern const Output kGoldenOutputs[kGoldenVectors][kClasses];

// Copies kHeight * kWidth gray pixels, row by row, into the model.
template <typename Interpreter>
void SetInput(Interpreter& interpreter, const uint8_t* pixels) {{
  Input* input = interpreter.template typed_input_tensor<Input>(0);
  for (int i = 0; i < kHeight * kWidth; ++i) input[i] = Encode(pixels[i]);
}}

// Returns the index of the most probable label, after Invoke().
template <typename Interpreter>
int Best(Interpreter& interpreter) {{
  const Output* output = interpreter.template typed_output_tensor<Output>(0);
  int best = 0;
  for (int i = 1; i < kClasses; ++i) {{
    if (output[i] > output[best]) best = i;
  }}
  return best;
}}

// Returns true if the model reproduces the golden vectors; a NaN does not.
template <typename Interpreter>
bool SelfTest(Interpreter& interpreter) {{
  for (int vector = 0; vector < kGoldenVectors; ++vector) {{
    SetInput(interpreter, kGoldenInputs[vector]);
    if (interpreter.Invoke() != 0) return false;
    const Output* output = interpreter.template typed_output_tensor<Output>(0);
    for (int i = 0; i < kClasses; ++i) {{
      const float off = static_cast<float>(output[i]) - static_cast<float>(kGoldenOutputs[vector][i]);
      if (!(off <= kGoldenTolerance && -off <= kGoldenTolerance)) return false;
    }}
  }}
  return true;
}}

}}  // namespace {namespace}

#endif  // {guard}
"""

SOURCE = """\
// Definitions of the arrays declared in {stem}.h.
#include "{stem}.h"

namespace {namespace} {{

const char* const kLabels[kClasses] = {{
{labels}}};

{table}const uint8_t kGoldenInputs[kGoldenVectors][kHeight * kWidth] = {{
{faces}}};

const Output kGoldenOutputs[kGoldenVectors][kClasses] = {{
{outputs}}};

alignas(16) const unsigned char kModel[kModelBytes] = {{{model}}};

}}  // namespace {namespace}
"""

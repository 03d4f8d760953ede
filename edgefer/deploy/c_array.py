"""A model as C++ source for TensorFlow Lite Micro: the flatbuffer as an array, its contract as constants.

    made = c_array(artifact, name="compact_small-int8")
    made.files                                      # {"compact_small_int8.h": ..., "compact_small_int8.cc": ...}

A header and a .cc, as TensorFlow Lite Micro's own generate_cc_arrays.py writes them: its interface is C++, and so is
alignas, without which the flatbuffer may lie where it cannot be read. The header includes nothing of TensorFlow; what
it does with a resolver and an interpreter are templates over them. The same artifact gives the same bytes.
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
from edgefer.deploy.tflm import MicroNeeds, micro_needs
from edgefer.errors import IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.inspection.flatbuffer import read_model

__all__ = ["CArray", "c_array"]

RUNTIME = "litert"  # whose schema the model is read with
GOLDEN_VECTORS = 3
BYTES_PER_LINE = 20
C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "float32": "float"}
# What a string literal may hold as it is. The rest is written in octal: "?" too, for "??/" would be a backslash.
PLAIN = re.compile(r"[A-Za-z0-9 _.,:+/-]")


@dataclass(frozen=True)
class CArray:
    """A model as source.

    Attributes:
        files: name and content of the header and of the source.
        namespace: where all that they define stands.
        needs: operators and memory.
    """

    files: dict[str, str]
    namespace: str
    needs: MicroNeeds


def c_array(artifact: Artifact, *, name: str) -> CArray:
    """Write ``artifact`` as C++; it is run once on its golden vectors before.

    Args:
        artifact: model and contract.
        name: what to call it; other characters than letters, digits and underscores become underscores.

    Raises:
        IncompatibleError: TensorFlow Lite Micro cannot run the model; the message names what stands in the way. Or
            LiteRT, with whose schema it is read, is not installed or computes something else.
    """
    # The reader of the anatomy wants a file that an interpreter has verified.
    classifier = Classifier.from_artifact(artifact, runtime=RUNTIME)
    needs = micro_needs(read_model(artifact.model))
    _check_types(classifier)
    # All of C's keywords, and all names that a program may have, lie outside of this prefix.
    stem = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "model"
    writer = _Writer(artifact, stem, needs, classifier.runtime.input.params, classifier.runtime.output.params)
    return CArray({f"{stem}.h": writer.header(), f"{stem}.cc": writer.source()}, writer.namespace, needs)


def _check_types(classifier: Classifier) -> None:
    for tensor in (classifier.runtime.input, classifier.runtime.output):
        if tensor.params.dtype not in C_TYPES:
            why = f"{', '.join(C_TYPES)} can be written as C++"
            raise IncompatibleError(f"an input or output of type {tensor.params.dtype}", why=why)


@dataclass(frozen=True)
class _Writer:
    artifact: Artifact
    stem: str
    needs: MicroNeeds
    input: QuantParams
    output: QuantParams

    @property
    def namespace(self) -> str:
        return f"fer_{self.stem}"

    def header(self) -> str:
        guard = f"EDGEFER_{self.stem.upper()}_H_"
        about = "\n".join(f"// {line}".rstrip() for line in (*_about(self.artifact, self.stem), *self._usage()))
        calls = "".join(f" &&\n         resolver.Add{name}() == 0" for name in self.needs.operators)
        return HEADER.format(
            about=about,
            guard=guard,
            namespace=self.namespace,
            model_bytes=len(self.artifact.model),
            sha256=self.artifact.sha256,
            classes=len(self.artifact.labels),
            height=self.artifact.input_spec.height,
            width=self.artifact.input_spec.width,
            input_type=C_TYPES[self.input.dtype],
            input_scale=_float(self.input.scale),
            input_zero_point=self.input.zero_point,
            table="" if self._is_simple() else "extern const Input kEncodedPixels[256];\n",
            encode=self._encode(),
            output_type=C_TYPES[self.output.dtype],
            output_scale=_float(self.output.scale),
            output_zero_point=self.output.zero_point,
            temperature=_float(self.artifact.temperature),
            planned_bytes=self.needs.planned_bytes,
            scratch_bytes=self.needs.scratch_bytes,
            kept_bytes=self.needs.kept_bytes,
            arena_bytes=self.needs.arena_bytes,
            operators=len(self.needs.operators),
            calls=calls.removeprefix(" &&\n         "),
            golden_vectors=len(self._golden()),
            tolerance=_float(self.artifact.golden.tolerance),
            unit=self.artifact.golden.unit,
        )

    def source(self) -> str:
        golden, chosen = self.artifact.golden, self._golden()
        faces = ",\n".join("{" + _numbers(golden.inputs[each].ravel().tolist()) + "}" for each in chosen)
        outputs = ",\n".join("{" + ", ".join(self._values(golden.outputs[each])) + "}" for each in chosen)
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

    def _golden(self) -> list[int]:
        return _spread(self.artifact.golden)

    def _values(self, outputs: npt.NDArray[Any]) -> list[str]:
        whole = np.issubdtype(outputs.dtype, np.integer)
        return [str(value) if whole else _float(value) for value in outputs.tolist()]

    def _encode(self) -> str:
        if self.input.dtype == "float32":
            return "return static_cast<float>(pixel) / 255.0f;"
        if not self._is_simple():
            return "return kEncodedPixels[pixel];"
        return f"return static_cast<Input>(static_cast<int>(pixel) + ({self._offsets()[0]}));"

    def _is_simple(self) -> bool:
        """Whether a pixel becomes the model's number for it by one addition or division, without a table."""
        return self.input.dtype == "float32" or len(set(self._offsets())) == 1

    def _offsets(self) -> list[int]:
        offsets: list[int] = (encoder(self.input).astype(np.int64) - np.arange(256)).tolist()
        return offsets

    def _table(self) -> str:
        if self._is_simple():
            return ""
        return f"const Input kEncodedPixels[256] = {{{_numbers(encoder(self.input).tolist())}}};\n\n"


def _spread(golden: Golden) -> list[int]:
    """The first vector of each label that the model gives, so that the few that are kept differ; in order."""
    first = {int(label): index for index, label in reversed(list(enumerate(np.argmax(golden.outputs, axis=1))))}
    others = [index for index in range(len(golden.inputs)) if index not in first.values()]
    return sorted([*sorted(first.values()), *others][:GOLDEN_VECTORS])


def _about(artifact: Artifact, stem: str) -> list[str]:
    provenance, spec = artifact.provenance, artifact.input_spec
    facts = {
        "system": provenance.get("system"),
        "scheme": artifact.scheme,
        "accuracy": _accuracy(provenance.get("scores")),
        "data": _name(provenance.get("data")),
        "calibration": _name(provenance.get("calibration")),
        "converter": provenance.get("converter"),
        "labels": ", ".join(artifact.labels),
        "input": f"{spec.width} x {spec.height} grey pixels of one face, cut out and area-averaged to that size",
        "sha256": f"{artifact.sha256} (of the flatbuffer)",
    }
    if spec.clahe is not None:
        tiles = spec.clahe.tiles
        facts["then"] = f"CLAHE, clip limit {spec.clahe.clip_limit:g}, {tiles} x {tiles} tiles; not in this code"
    lines = [f"{key + ':':<13}{_comment(str(value))}" for key, value in facts.items() if value]
    return [f"{stem}.h: a model for TensorFlow Lite Micro, written by edgefer {__version__}", "", *lines, ""]


def _name(facts: object) -> object:
    if not isinstance(facts, dict):
        return facts
    return facts.get("name") or facts.get("set") or (f"{facts['faces']} faces" if "faces" in facts else None)


def _accuracy(scores: object) -> str | None:
    if not isinstance(scores, dict) or not isinstance(scores.get("accuracy"), float):
        return None
    return f"{100 * scores['accuracy']:.2f} % of {scores.get('n')} images of {scores.get('split')}"


def _comment(text: str) -> str:
    # A line of a comment that ends in a backslash, or in "??/", would take the next line with it.
    return re.sub(r"[^ -~]|[\\?]", "_", text)


def _escaped(text: str) -> str:
    return "".join(chr(byte) if PLAIN.match(chr(byte)) else f"\\{byte:03o}" for byte in text.encode())


def _float(value: float) -> str:
    # Nine digits tell every float32 from its neighbours.
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _numbers(values: bytes | Iterable[int]) -> str:
    numbers = [str(value) for value in values]
    starts = range(0, len(numbers), BYTES_PER_LINE)
    return "\n" + ",\n".join(",".join(numbers[start : start + BYTES_PER_LINE]) for start in starts) + "\n"


USAGE = """\
In a firmware, with C++11 and tflite-micro:

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
    if (!fer::SelfTest(interpreter)) return;  // it computes something else here

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

// The input: one grey picture. A pixel p stands for p / 255 = kInputScale * (Encode(p) - kInputZeroPoint); a scale of 0
// says that the tensor holds real numbers.
typedef {input_type} Input;
constexpr int kHeight = {height};
constexpr int kWidth = {width};
constexpr float kInputScale = {input_scale};
constexpr int kInputZeroPoint = {input_zero_point};
{table}inline Input Encode(uint8_t pixel) {{ {encode} }}

// The output: a logit for each label, kOutputScale * (q - kOutputZeroPoint). Probabilities are the softmax of
// logits / kTemperature: so the model is about as often right as it is sure. The most probable label does not need it.
typedef {output_type} Output;
constexpr float kOutputScale = {output_scale};
constexpr int kOutputZeroPoint = {output_zero_point};
constexpr float kTemperature = {temperature};

// Memory. kPlannedArenaBytes is what the plan of TensorFlow Lite Micro takes for activations, input and output. Not in
// that plan: what it keeps about tensors, operators and channels ({kept_bytes} bytes at most, on a machine with 64-bit
// pointers), and the scratch memory of optimized kernels (CMSIS-NN's convolutions add {scratch_bytes} bytes to it).
// kArenaBytes is the sum in whole KiB. Kernels that ask for more, such as ESP-NN's, are not in it: start larger, then
// read interpreter.arena_used_bytes().
constexpr size_t kPlannedArenaBytes = {planned_bytes};
constexpr size_t kArenaBytes = {arena_bytes};

// Adds what the model needs, and no more, to a tflite::MicroMutableOpResolver<kOperatorCount>.
constexpr unsigned int kOperatorCount = {operators};
template <typename Resolver>
bool AddOperators(Resolver& resolver) {{
  return {calls};
}}

// Drawn faces with the outputs that the workstation got. Other kernels may be off by kGoldenTolerance {unit}.
constexpr int kGoldenVectors = {golden_vectors};
constexpr float kGoldenTolerance = {tolerance};
extern const uint8_t kGoldenInputs[kGoldenVectors][kHeight * kWidth];
extern const Output kGoldenOutputs[kGoldenVectors][kClasses];

// Copies kHeight * kWidth grey pixels, row by row, into the model.
template <typename Interpreter>
void SetInput(Interpreter& interpreter, const uint8_t* pixels) {{
  Input* input = interpreter.template typed_input_tensor<Input>(0);
  for (int i = 0; i < kHeight * kWidth; ++i) input[i] = Encode(pixels[i]);
}}

// The number of the most probable label, after Invoke().
template <typename Interpreter>
int Best(Interpreter& interpreter) {{
  const Output* output = interpreter.template typed_output_tensor<Output>(0);
  int best = 0;
  for (int i = 1; i < kClasses; ++i) {{
    if (output[i] > output[best]) best = i;
  }}
  return best;
}}

// Whether the golden vectors come out as they should; a NaN does not.
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
// The arrays that {stem}.h declares and explains.
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

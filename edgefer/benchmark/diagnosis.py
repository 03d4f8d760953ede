"""Why int8 is not faster than float here, by what was measured.

    causes(float_measurement, int8_measurement, model=int8_model, other_threads=measure_it)

A model in int8 moves a quarter of the bytes and multiplies several values at once, so on most devices it takes less
than half as long. Where it takes nearly as long, there is a reason, and each kind has its own cure.
"""

from __future__ import annotations

from collections.abc import Callable

from edgefer.device import sysfs
from edgefer.errors import IncompatibleError
from edgefer.inference.runtime import open_interpreter
from edgefer.inspection.delegate import read_partition
from edgefer.inspection.flatbuffer import read
from edgefer.inspection.inspector import needed_runtime
from edgefer.results.measurement import Measurement

__all__ = ["EXPECTED", "causes"]

# Float's p50 over int8's. Below it, something is in the way.
EXPECTED = 1.3
# Of the time from input set to output got that is spent outside of the model: copies, and the calls themselves.
LARGEST_OVERHEAD = 0.2
# A second thread that is worth starting.
LEAST_GAIN = 1.1
CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def causes(
    plain: Measurement, int8: Measurement, *, model: bytes, other_threads: Callable[[], Measurement | None]
) -> tuple[str, ...]:
    """Sentences on what is in int8's way; empty where it is as fast as one may expect.

    Args:
        plain: of the float model.
        int8: of the int8 model, on the same device, runtime and number of threads.
        model: the flatbuffer of the int8 model.
        other_threads: measures the int8 model with another number of threads, where the device has so many cores; it is
            asked only where int8 is too slow.
    """
    ratio = plain.p50_us / int8.p50_us
    if ratio >= EXPECTED:
        return ()
    found = [*_operators(model, int8), *_processor(int8), *_overhead(int8)]
    other = other_threads()
    if other is not None:
        few, many = sorted([other, int8], key=lambda each: each.threads)
        if few.p50_us < LEAST_GAIN * many.p50_us:
            found.append(
                f"threads: {many.threads} of them take {many.p50_us:.0f} us, {few.threads} {few.p50_us:.0f} us; "
                "the model is too small to share"
            )
    return tuple(found) or (f"int8 is {ratio:.2f} x float, and nothing of what is looked for is in its way",)


def _operators(model: bytes, int8: Measurement) -> list[str]:
    if int8.runtime == "tflite_runtime":
        version = int8.runtime_version
        return [f"runtime: tflite-runtime {version} runs int8 by its built-in kernels, float by XNNPACK"]
    # Only LiteRT brings the schema by which a model can be read.
    try:
        module = needed_runtime()
    except IncompatibleError as error:
        return [f"operators: not looked at, because LiteRT is not installed here ({error.hint})"]
    ops = [op.name for op in read(model).main.ops]
    conversions = [name for name in ops if name in CONVERSIONS]
    found = []
    if conversions:
        found.append(f"operators: {len(conversions)} of {len(ops)} only convert (QUANTIZE, DEQUANTIZE)")
    interpreter = open_interpreter(module.load(), model, name="litert", version=module.available() or "")
    partition = read_partition(interpreter, read(model).main)
    if partition.taken is not None and len(partition.taken) < len(ops):
        left = sorted({name for position, name in enumerate(ops) if position not in partition.taken})
        found.append(f"operators: {', '.join(left)} run outside of XNNPACK, in {partition.groups + 1} pieces at least")
    return found


def _processor(int8: Measurement) -> list[str]:
    if sysfs.has_dot_product() is False:
        return [f"processor: {int8.device.get('cpu')} has no instruction for dot products of int8"]
    return []


def _overhead(int8: Measurement) -> list[str]:
    share = 1 - int8.invoke.p50_ns / max(1, int8.set_to_get.p50_ns)
    if share > LARGEST_OVERHEAD:
        return [f"overhead: {100 * share:.0f} % of a run are copies and calls, not the model"]
    return []

"""Diagnose why an int8 model is not faster than its float counterpart on this device.

    diagnose_int8_latency(float_measurement, int8_measurement, model=int8_model, measure_other_threads=measure)

An int8 model moves a quarter of the bytes and multiplies several values per instruction. On most devices it needs less
than half the time of the float model. Each reason for a smaller gain has its own remedy.
"""

from __future__ import annotations

from collections.abc import Callable

from edgefer.data.naming import counted
from edgefer.device import sysfs
from edgefer.errors import IncompatibleError
from edgefer.inference.first_load import check_first_load
from edgefer.inference.runtime import open_interpreter
from edgefer.inspection.delegate import read_partition
from edgefer.inspection.flatbuffer import read_model
from edgefer.inspection.inspector import require_litert
from edgefer.results.measurement import Measurement

__all__ = ["EXPECTED_SPEEDUP", "diagnose_int8_latency"]

# p50 of float over p50 of int8. A smaller value needs an explanation.
EXPECTED_SPEEDUP = 1.3
# Share of a run outside the inference: copies, and the calls themselves.
MAX_OVERHEAD = 0.2
# Speedup that makes a second thread worthwhile.
MIN_THREAD_SPEEDUP = 1.1
CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def diagnose_int8_latency(
    float_measurement: Measurement,
    int8: Measurement,
    *,
    model: bytes,
    measure_other_threads: Callable[[], Measurement | None],
) -> tuple[str, ...]:
    """Return the likely reasons for the latency of an int8 model, as sentences; empty if it is as fast as expected.

    Args:
        float_measurement: measurement of the float model.
        int8: measurement of the int8 model, on the same device, with the same runtime and thread count.
        model: flatbuffer of the int8 model.
        measure_other_threads: measures the int8 model with another thread count, or returns None on a single core. It
            is called only if int8 is too slow.
    """
    speedup = float_measurement.p50_us / int8.p50_us
    if speedup >= EXPECTED_SPEEDUP:
        return ()
    causes = [*_operators(model, int8), *_processor(int8), *_overhead(int8)]
    other = measure_other_threads()
    if other is not None:
        few, many = sorted([other, int8], key=lambda measurement: measurement.threads)
        if few.p50_us < MIN_THREAD_SPEEDUP * many.p50_us:
            causes.append(
                f"threads: the model is too small to split; {many.threads} threads take {many.p50_us:.0f} us, "
                f"{counted(few.threads, 'thread')} {few.p50_us:.0f} us"
            )
    return tuple(causes) or (f"float takes {speedup:.2f} x the time of int8; no known cause applies",)


def _operators(model: bytes, int8: Measurement) -> list[str]:
    if int8.runtime == "tflite_runtime":
        version = int8.runtime_version
        return [f"runtime: tflite-runtime {version} runs int8 on its built-in kernels, float on XNNPACK"]
    # Reading the flatbuffer needs the schema, which only LiteRT contains.
    try:
        module = require_litert()
    except IncompatibleError as error:
        return [f"operators: not checked, because LiteRT is not installed ({error.hint})"]
    graph = read_model(model).main
    ops = [op.name for op in graph.ops]
    conversions = [name for name in ops if name in CONVERSIONS]
    causes = []
    if conversions:
        causes.append(f"operators: {len(conversions)} of {len(ops)} only convert types (QUANTIZE, DEQUANTIZE)")
    check_first_load(model, module)
    interpreter = open_interpreter(module.load(), model, name="litert", version=module.available() or "")
    partition = read_partition(interpreter, graph)
    if partition.delegated is not None and len(partition.delegated) < len(ops):
        outside = sorted({name for position, name in enumerate(ops) if position not in partition.delegated})
        parts = f"at least {partition.groups + 1} parts"
        causes.append(f"operators: {', '.join(outside)} run outside XNNPACK, which splits the graph into {parts}")
    return causes


def _processor(int8: Measurement) -> list[str]:
    if sysfs.has_dot_product() is False:
        return [f"processor: {int8.processor} has no int8 dot product instruction"]
    return []


def _overhead(int8: Measurement) -> list[str]:
    share = 1 - int8.invoke.p50_ns / max(1, int8.set_to_get.p50_ns)
    if share > MAX_OVERHEAD:
        return [f"overhead: copies and calls take {100 * share:.0f} % of a run"]
    return []

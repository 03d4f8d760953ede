"""Train a small network on synthetic faces, quantize it to int8 and print the change in accuracy, without the CLI.

    python examples/quantize_from_python.py --epochs 5

The run folder and the model are written below the working folder.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from edgefer.data.dataset import synthetic_dataset
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize
from edgefer.workstation.workflows.train import complete, load_system, start


def main(epochs: int) -> None:
    """Train, quantize, compare and save."""
    dataset = synthetic_dataset(training=1400, held_out=420, seed=0)
    settings = dataclasses.replace(load_system("demo"), epochs=epochs)
    run = start(settings, dataset, opened_with={"data": "synthetic"}, root=Path("runs"))
    complete(run, dataset)

    quantized = quantize(QuantizationContext(run, dataset), "int8")
    path = run.folder / "demo-int8.tflite"
    quantized.artifact.save(path)

    comparison = quantized.comparison
    low, high = comparison.interval_points
    print(f"float {quantized.float_evaluation.accuracy.share:.2%}, int8 {quantized.evaluation.accuracy.share:.2%}")
    print(f"difference {comparison.difference_points:+.2f} points (95 %: {low:+.2f} to {high:+.2f})")
    print(f"same label on {comparison.agreement:.2%} of {comparison.n} images")
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train and quantize a small network.")
    parser.add_argument("--epochs", type=int, default=5)
    main(parser.parse_args().epochs)

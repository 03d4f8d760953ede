"""Train and quantize a network architecture of your own.

    python examples/own_architecture.py --epochs 5

An architecture is a module with a function build(). A folder of such modules becomes part of the catalog when it is
added to the path of the package edgefer.workstation.networks.architectures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from edgefer.data.dataset import synthetic_dataset
from edgefer.workstation.networks import architectures
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize
from edgefer.workstation.workflows.train import complete, load_system, start

ARCHITECTURES = Path(__file__).with_name("architectures")  # contains wide_stem.py


def main(epochs: int) -> None:
    """Train the architecture on synthetic faces and print a JSON record of the int8 model."""
    architectures.__path__.append(str(ARCHITECTURES))
    dataset = synthetic_dataset(training=1400, held_out=420, seed=0)
    settings = dataclasses.replace(
        load_system("demo"), system="own", architecture="wide_stem", model={"width": 24}, epochs=epochs
    )
    run = start(settings, dataset, opened_with={"data": "synthetic"}, root=Path("runs"))
    complete(run, dataset)
    quantized = quantize(QuantizationContext(run, dataset), "int8")
    record = {
        "architecture": settings.architecture,
        "accuracy": quantized.evaluation.accuracy.share,
        "int8_bytes": len(quantized.artifact.to_bytes()),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train an architecture of your own.")
    parser.add_argument("--epochs", type=int, default=5)
    main(parser.parse_args().epochs)

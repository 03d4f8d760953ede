"""Describe versions, machine and data of a run, for its environment.json.

    run.save_json("environment.json", {**describe_machine("tensorflow"), "data": describe_data(dataset, opened_with)})
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any

import edgefer
from edgefer.data.dataset import Dataset

__all__ = ["describe_data", "describe_machine", "votes_sha256"]

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "opencv-python-headless")


def describe_machine(backend: str) -> dict[str, Any]:
    """Return versions, machine and Keras backend, on which results depend besides settings and data."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "edgefer": edgefer.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu_count": os.cpu_count(),
        "backend": backend,
        "packages": versions,
    }


def describe_data(dataset: Dataset, opened_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a data set with a Training split, and the options that open it again."""
    return {
        "source": dataset.source,
        "layout": dataset.layout,
        "sha256": dataset.sha256,
        "votes_sha256": votes_sha256(dataset),
        "opened_with": dict(opened_with),
        "images": {name: len(split) for name, split in dataset.splits.items()},
    }


def votes_sha256(dataset: Dataset) -> str | None:
    """Return the SHA-256 of the FER+ votes of Training; None for a data set without votes."""
    votes = dataset.split("Training").votes
    return None if votes is None else hashlib.sha256(votes.tobytes()).hexdigest()

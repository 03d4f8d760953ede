"""Write data sets in their layouts, with synthetic faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import draw

Put = Callable[..., Path]


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def drawn() -> dict[str, list[np.ndarray]]:
    """Return four synthetic faces of each class, uint8 (48, 48)."""
    faces, labels = draw(28, seed=11)
    return {name: [face for face, label in zip(faces, labels) if LABELS[label] == name] for name in LABELS}


@pytest.fixture
def put(tmp_path) -> Put:
    """Return a function that writes a picture below a temporary folder."""

    def write(name: str, face: np.ndarray) -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), face)
        return tmp_path / "data"

    return write

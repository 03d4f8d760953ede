"""A small search on drawn faces that the tests of the search share."""

import numpy as np
import pytest
from tiny_space import SPACE

from edgefer.data.synthetic import draw
from edgefer.search.space import parse_space

SPLITS = {"Training": 210, "PublicTest": 140, "PrivateTest": 7}


@pytest.fixture(scope="session")
def space():
    return parse_space(SPACE)


@pytest.fixture(scope="session")
def drawn_faces_file(tmp_path_factory):
    """Write drawn faces in the three splits as an .npz."""
    path = tmp_path_factory.mktemp("data") / "faces.npz"
    pixels, labels = draw(sum(SPLITS.values()), seed=3)
    usage = np.repeat(list(SPLITS), list(SPLITS.values()))
    np.savez(path, pixels=pixels, emotion=labels, usage=usage)
    return path

from pathlib import Path

import pytest

from edgefer.search.space import read_space

SPACES = sorted((Path(__file__).parents[2] / "benchmarks" / "spaces").glob("*.toml"))


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_of_the_project_is_valid(path):
    assert read_space(path).drawn

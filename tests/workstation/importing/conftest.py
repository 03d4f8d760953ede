"""Reference networks of benchmarks/, drawn faces of three classes, and a reader without a subprocess."""

import sys
from pathlib import Path

import pytest

# The scripts import each other from their own folder. It comes last, so that it hides no installed module.
sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from edgefer import plugins
from edgefer.data.dataset import synthetic_dataset
from edgefer.workstation.importing.network import FORMATS, find_format, without_probabilities

CLASSES = ("happy", "surprise", "angry")


@pytest.fixture(scope="session")
def three_classes():
    """Draw 900 Training faces and 450 test faces of three classes, which a small network learns in seconds."""
    return synthetic_dataset(training=2100, held_out=1050, seed=11).select(CLASSES)


@pytest.fixture(scope="session")
def frameworks():
    """Import Keras 3 and Keras 2, by the value of Reference.legacy."""
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")
    import tf_keras

    return {False: keras, True: tf_keras}


@pytest.fixture(scope="session")
def read():
    """Convert a file in this process: source network without the softmax, its flatbuffer, name of what was removed."""

    def convert(path, *, trust=False):
        source = without_probabilities(plugins.load(FORMATS, find_format(path)).read(path, trust=trust))
        return source, source.flatbuffer, source.removed

    return convert

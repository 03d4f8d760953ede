import pytest

from edgefer.errors import UsageError
from edgefer.workstation.networks.backend import load_keras


def test_an_unknown_backend_is_rejected(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(UsageError, match="unknown Keras backend 'theano': expected one of tensorflow, jax, torch"):
        load_keras()


def test_a_process_keeps_its_first_backend():
    keras = load_keras(backend="tensorflow")
    assert load_keras(backend="tensorflow") is keras
    with pytest.raises(UsageError, match="runs Keras on tensorflow") as caught:
        load_keras(backend="torch")
    assert caught.value.hint == "KERAS_BACKEND=torch"

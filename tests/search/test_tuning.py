import sys
from types import SimpleNamespace

import pytest

from edgefer.errors import UsageError
from edgefer.search.tuning import Resources, ray_session


@pytest.mark.parametrize("error", [ConnectionError("no answer"), Exception("The node timed out\nduring startup.")])
@pytest.mark.parametrize(
    ("address", "what", "hint"),
    [("head:6379", "no Ray cluster at head:6379", "on the head"), (None, "Ray does not start", "--address auto")],
)
def test_a_ray_that_does_not_start_is_a_usage_error(monkeypatch, tmp_path, address, what, hint, error):
    def init(**options):
        raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: None))
    with pytest.raises(UsageError, match=what) as raised, ray_session(address, Resources(cpus=1)):
        pass
    assert raised.value.why == str(error).partition("\n")[0]
    assert hint in raised.value.hint
    assert not list(tmp_path.glob("*"))

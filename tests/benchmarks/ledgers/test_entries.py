import pytest
from ledgers.entries import require

from edgefer.errors import DataError


def test_required_fields_are_checked_by_name_and_type():
    require({"threads": 1, "load": None}, threads=int, load=(float, type(None)))
    with pytest.raises(DataError, match="without 'threads'"):
        require({}, threads=int)
    with pytest.raises(DataError, match="'threads' is str: int or NoneType was expected"):
        require({"threads": "1"}, threads=(int, type(None)))

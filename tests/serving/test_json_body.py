"""The one reader of bodies: what is JSON is read as json reads it, and all else is one kind of error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.serving.connections.json_body import parsed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.booleans())
def test_what_is_json_is_read(value: Any, marked: bool) -> None:
    assert parsed((b"\xef\xbb\xbf" if marked else b"") + json.dumps(value).encode()) == value


@given(st.binary(max_size=64))
def test_everything_else_is_one_kind_of_error(body: bytes) -> None:
    try:
        parsed(body)
    except json.JSONDecodeError as error:
        assert error.msg


def test_a_key_that_is_there_twice_is_found_among_many() -> None:
    names = [*range(20_000), 19_999]
    with pytest.raises(json.JSONDecodeError, match="the key '19999' is there twice"):
        parsed(b'{"a": [{' + b",".join(b'"%d": 0' % name for name in names) + b"}]}")

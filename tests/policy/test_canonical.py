"""Canonical JSON: the same meaning has the same digest, any change has another."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from brody_agents.policy.canonical import canonical, digest

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def shuffled(value: Any) -> Any:
    """Return the same with the members of every object the other way round."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def test_the_form_is_that_of_rfc_8785() -> None:
    """Members by UTF-16 code units, no white space, only the escapes that are needed (RFC 8785, 3.2.3)."""
    given = {"€": "Euro", "\r": "CR", "\ufb33": "Hebrew", "1": "One", "😀": "Smiley", "\x80": "Control", "ö": "O"}
    ordered = ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]
    assert list(json.loads(canonical(given))) == ordered
    assert (
        canonical({"b": [1.0, True, None], "a": '\u000f"\\/é'}) == '{"a":"\\u000f\\"\\\\/é","b":[1,true,null]}'.encode()
    )


@given(values)
def test_the_same_in_another_order_has_the_same_digest(value: Any) -> None:
    """The order of members and what JSON does to a value mean nothing."""
    assert digest(shuffled(value)) == digest(value)
    assert digest(json.loads(canonical(value))) == digest(value)


@given(values, values)
def test_what_differs_has_another_digest(one: Any, other: Any) -> None:
    """Equal bytes mean equal JSON."""
    assume(canonical(one) != canonical(other))
    assert digest(one) != digest(other)


@given(values, values)
def test_canonical_bytes_read_back_as_the_value(one: Any, other: Any) -> None:
    """No two different values share their bytes: reading them back gives what was written."""
    assert canonical(json.loads(canonical(one))) == canonical(one)
    if canonical(one) == canonical(other):
        assert one == other


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-12 * 60, 14 * 60))
def test_an_instant_is_the_same_in_every_zone(naive: datetime, minutes: int) -> None:
    """Two ways to write a moment are one."""
    moment = naive.replace(tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert digest({"at": elsewhere}) == digest({"at": moment})
    assert digest({"at": moment + timedelta(microseconds=1)}) != digest({"at": moment})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_json_has_no_digest(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest({"n": number})

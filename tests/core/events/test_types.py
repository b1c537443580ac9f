"""The enums of event types, session kinds and statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.core import LocalEventType, RealtimeEventType, SessionStatus

PROTOCOL = Path(__file__).parents[4] / "shared/protocol/events.json"


def test_the_wire_types_are_63() -> None:
    """There are 46 server, 11 client and 10 translation types, four of them shared."""
    assert len(RealtimeEventType) == 63


def test_a_member_is_named_after_its_type() -> None:
    """``response.output_text.delta`` is ``RESPONSE_OUTPUT_TEXT_DELTA``."""
    assert [t.name for t in RealtimeEventType] == [
        t.value.upper().replace(".", "_") for t in RealtimeEventType
    ]


def test_local_facts_have_names_of_ours() -> None:
    """No wire event has the type of a local fact."""
    assert [t.value for t in LocalEventType] == [
        f"duologue.{t.name.lower()}" for t in LocalEventType
    ]


def test_statuses() -> None:
    """A session has five statuses."""
    assert [*SessionStatus] == [
        "connecting",
        "open",
        "reconnecting",
        "closed",
        "failed",
    ]


@pytest.mark.skipif(not PROTOCOL.exists(), reason="needs ../shared")
def test_the_types_are_those_of_the_protocol() -> None:
    """The types are exactly those of the protocol's catalogue."""
    known = json.loads(PROTOCOL.read_text())
    found = set(_types(known))

    assert set() == {t.value for t in RealtimeEventType} - found


def _types(value: object) -> list[str]:
    """All strings and keys of a JSON value."""
    if isinstance(value, dict):
        return [*value, *(t for inner in value.values() for t in _types(inner))]
    if isinstance(value, list):
        return [t for inner in value for t in _types(inner)]
    return [value] if isinstance(value, str) else []


def test_statuses_that_are_over() -> None:
    """A session has ended if it is closed or has failed."""
    assert [each for each in SessionStatus if each.is_over] == ["closed", "failed"]

"""Comparing sent events with the recorded ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue.core import Record
from duologue.transports.drivers.replay.event_comparison import (
    EventComparison,
    Sends,
    first_difference,
)
from duologue.transports.errors import ReplayDrift


def comparison(*events: dict[str, Any] | str, how: Sends = "strict") -> EventComparison:
    frames = [each if isinstance(each, str) else json.dumps(each) for each in events]
    records = [
        Record.of(frame, seq=10 + number, session="s", dir="out")
        for number, frame in enumerate(frames)
    ]
    return EventComparison(records, how)


def say(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content, **fields}
    return {"type": "conversation.item.create", "item": item}


def take(compared: EventComparison, *events: dict[str, Any]) -> None:
    for event in events:
        compared.take(json.dumps(event))


def test_the_same_is_no_drift() -> None:
    """In any order of keys, and without ids that the client chooses."""
    compared = comparison(say("hi", id="a") | {"event_id": "one"}, say("ho"))
    take(compared, {"event_id": "two"} | say("hi", id="b"), say("ho", id="c"))
    assert (compared.sent, compared.next) == (2, None)


def test_audio_is_not_compared() -> None:
    """A log has no audio."""
    compared = comparison(
        {"type": "input_audio_buffer.append", "audio": ""},
        say("") | {"item": {"content": [{"type": "input_audio", "audio": ""}]}},
    )
    take(
        compared,
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
        say("") | {"item": {"content": [{"type": "input_audio", "audio": "AAAA"}]}},
    )
    assert compared.sent == 2


def test_what_is_named_again_has_to_be_the_same() -> None:
    """A client's id may differ, but not the object that it names."""
    recorded = (
        say("hi", id="a"),
        say("ho", id="b"),
        {"type": "conversation.item.delete", "item_id": "b"},
    )
    right = {"type": "conversation.item.delete", "item_id": "y"}
    wrong = {"type": "conversation.item.delete", "item_id": "x"}
    take(comparison(*recorded), say("hi", id="x"), say("ho", id="y"), right)
    with pytest.raises(
        ReplayDrift,
        match=r'event 3 differs .*: at \$.item_id: recorded "b", sent "a',
    ):
        take(comparison(*recorded), say("hi", id="x"), say("ho", id="y"), wrong)


def test_more_than_there_was_is_drift() -> None:
    with pytest.raises(
        ReplayDrift,
        match=r"event 1 is response.create: the recording has no more than 0",
    ):
        take(comparison(), {"type": "response.create"})


def test_in_order_only_types_count() -> None:
    take(comparison(say("hi"), how="order"), say("ho"))
    with pytest.raises(ReplayDrift, match=r'recorded "response.create", sent "x"'):
        take(comparison({"type": "response.create"}, how="order"), {"type": "x"})


def test_ignored_is_not_looked_at() -> None:
    compared = comparison(say("hi"), how="ignore")
    take(compared, {"type": "x"}, {"type": "y"})
    compared.take("not even JSON")
    assert compared.sent == 3


def test_what_is_no_event_is_compared_as_it_is() -> None:
    comparison("[1]").take("[1]")
    with pytest.raises(ReplayDrift):
        comparison({"type": "x"}).take("[1]")


@pytest.mark.parametrize(
    ("wanted", "got", "message"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "at $.a.b: recorded 1, sent 2"),
        ({"a": 1}, {}, "at $.a: recorded 1, sent nothing"),
        ({}, {"a": 1}, "at $.a: recorded nothing, sent 1"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "at $.a[1]: recorded 2, sent 3"),
        ([1], [1, 2], "at $: recorded [1], sent [1,2]"),
        ("x" * 70, 1, 'at $: recorded "' + "x" * 56 + "..., sent 1"),
    ],
)
def test_the_first_difference_is_named(wanted: Any, got: Any, message: str) -> None:
    assert first_difference(wanted, got) == message

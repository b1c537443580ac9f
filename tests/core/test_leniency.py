"""The slow path of decoding, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import events
from duologue.core.leniency import WrongType, build


def test_the_error_names_the_field() -> None:
    """A wrong type says where it stands."""
    fields: Any = {
        "item": {"type": "message", "content": [{"type": "text", "text": 5}]}
    }
    with pytest.raises(WrongType, match=r"\$\.item\.content\[0\]\.text: .* int"):
        build(events.ConversationItemAdded, fields)


def test_a_wrong_type_among_unread_fields_counts_as_missing() -> None:
    """The field's default stands there."""
    assert events.RateLimit(name="requests") == build(
        events.RateLimit, {"name": "requests", "limit": "many", "remaining": []}
    )


def test_a_list_with_one_wrong_member_is_wrong() -> None:
    """Nobody guesses which of them counts."""
    assert events.RateLimitsUpdated(rate_limits=()) == build(
        events.RateLimitsUpdated, {"rate_limits": [5]}
    )


def test_whole_numbers_are_floats_where_wanted() -> None:
    """JSON does not tell 1 from 1.0."""
    found = build(events.VolumeSet, {"volume": 1})

    assert (1.0, float) == (found.volume, type(found.volume))


def test_a_number_beyond_all_floats() -> None:
    """It is a wrong type, not an overflow."""
    with pytest.raises(WrongType):
        build(events.VolumeSet, {"volume": 10**400})


def test_maps_of_wrong_values() -> None:
    """Metadata is read, so it must be text."""
    with pytest.raises(WrongType):
        build(events.RealtimeResponse, {"metadata": {"a": 1}})


def test_raw_json_is_kept() -> None:
    """Free-form JSON is taken as it is."""
    found = build(
        events.ConversationItemInputAudioTranscriptionDelta,
        {"item_id": "i", "logprobs": [{"a": 1}], "content_index": None},
    )

    assert bytes(found.logprobs) == b'[{"a":1}]'


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (events.Muted, events.Muted(muted=False)),
        (events.VolumeSet, events.VolumeSet(volume=0)),
        (events.Requested, events.Requested(event={})),
        (events.Error, events.Error(error=events.ErrorDetail())),
        (events.RateLimitsUpdated, events.RateLimitsUpdated(rate_limits=())),
        (
            events.SessionUpdated,
            events.SessionUpdated(session=events.RealtimeSessionConfig()),
        ),
    ],
)
def test_neutral_values(cls: type, expected: Any) -> None:
    """What is required and missing is a value that says nothing."""
    assert expected == build(cls, {})


def test_an_unknown_tag_elsewhere_is_wrong() -> None:
    """Only items and parts have a class for types that are not known."""
    assert events.AudioInput() == build(
        events.AudioInput, {"turn_detection": {"type": "telepathy"}}
    )

"""Lenient decoding: the slow path, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import events
from duologue.core.events.base import Event
from duologue.core.wire.lenient import WrongType, build


def test_the_error_names_the_field() -> None:
    """The error holds the path of the field."""
    fields: Any = {
        "item": {"type": "message", "content": [{"type": "text", "text": 5}]}
    }
    with pytest.raises(WrongType, match=r"\$\.item\.content\[0\]\.text: .* int"):
        build(events.ConversationItemAdded, fields)


def test_a_wrong_type_among_unread_fields_counts_as_missing() -> None:
    """A wrong type in an unread field gives its default."""
    assert events.RateLimit(name="requests") == build(
        events.RateLimit, {"name": "requests", "limit": "many", "remaining": []}
    )


def test_a_list_with_one_wrong_member_is_wrong() -> None:
    """A list with a member of the wrong type counts as missing."""
    assert events.RateLimitsUpdated(rate_limits=()) == build(
        events.RateLimitsUpdated, {"rate_limits": [5]}
    )


@pytest.mark.parametrize(
    ("cls", "field"),
    [(events.AudioOutput, "voice"), (events.RealtimeSessionConfig, "prompt")],
)
def test_a_reference_with_a_wrong_id_counts_as_missing(cls: type, field: str) -> None:
    """An empty id would be sent to the next connection as the one in use."""
    assert build(cls, {field: {"id": 5}}) == cls()


def test_whole_numbers_are_floats_where_wanted() -> None:
    """An integer is accepted for a float: JSON does not distinguish them."""
    found = build(events.VolumeSet, {"volume": 1})

    assert (1.0, float) == (found.volume, type(found.volume))


def test_a_number_beyond_all_floats() -> None:
    """A number too large for a float is a wrong type, not an overflow."""
    with pytest.raises(WrongType):
        build(events.VolumeSet, {"volume": 10**400})


def test_maps_of_wrong_values() -> None:
    """Metadata is strict: its values must be strings."""
    with pytest.raises(WrongType):
        build(events.RealtimeResponse, {"metadata": {"a": 1}})


def test_a_null_in_a_list_or_a_mapping_is_left_out() -> None:
    """A null member is dropped; the other members and the event stay."""
    text = {"type": "output_text", "text": "hello"}
    message = {"type": "message", "id": "i", "content": [None, text, None]}
    usage = {"total_tokens": 3}
    found = build(
        events.ResponseDone,
        {
            "response": {
                "id": "r",
                "status": "completed",
                "metadata": {"a": None, "b": "c"},
                "output": [None, message],
                "usage": usage,
            }
        },
    ).response

    assert found.metadata == {"b": "c"}
    assert found.output == (
        events.MessageItem(id="i", content=(events.OutputTextPart(text="hello"),)),
    )
    assert (found.status, found.usage.total_tokens) == ("completed", 3)


def test_a_null_of_free_json_is_kept() -> None:
    """In free JSON, null is a value."""
    wish = {"type": "session.update", "session": None}

    assert build(events.Requested, {"event": wish}) == events.Requested(event=wish)


def test_raw_json_is_kept() -> None:
    """Free-form JSON is kept unchanged."""
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
    """A missing required field gets the neutral value of its type."""
    assert expected == build(cls, {})


def test_an_unknown_tag_elsewhere_is_wrong() -> None:
    """Only items and parts have a class for unknown types."""
    assert events.AudioInput() == build(
        events.AudioInput, {"turn_detection": {"type": "telepathy"}}
    )


#: The ids and indexes of a part.
PLACE: dict[str, Any] = {"item_id": "i", "response_id": "r", "content_index": 0}


class Sample(Event, frozen=True, kw_only=True):
    """An event class with strict and lenient fields."""

    item_id: str
    audio_end_ms: int = 0
    content_index: int = 0
    odd: Any = None


def test_a_class_is_built_by_its_fields() -> None:
    """Unknown fields are ignored; fields with a default may be missing."""
    fields: dict[str, Any] = {"item_id": "i", "odd": [1], "unheard_of": 1}

    assert build(Sample, fields) == Sample(item_id="i", odd=[1])


@pytest.mark.parametrize(
    ("cls", "fields", "path"),
    [
        # The text could not be assigned to an item.
        (Sample, {}, r"\$\.item_id is missing"),
        # A boolean or a fraction is not an index.
        (Sample, {"item_id": "i", "content_index": True}, r"content_index: .* bool"),
        (Sample, {"item_id": "i", "content_index": 0.5}, r"content_index: .* float"),
        # An invalid id identifies no item.
        (
            events.ConversationItemAdded,
            {"item": {"type": "dream", "id": 5}},
            r"\$\.item\.id: .* int",
        ),
    ],
)
def test_what_would_lie(cls: type, fields: dict[str, Any], path: str) -> None:
    """A wrong value in a strict field raises."""
    with pytest.raises(WrongType, match=path):
        build(cls, fields)


def test_a_fraction_of_a_millisecond_is_no_lie() -> None:
    """A fraction of a ms is dropped, and 1.0 is accepted as an integer."""
    fields = {"item_id": "i", "audio_end_ms": 20.7, "content_index": 1.0}
    found = build(Sample, fields)

    assert found == Sample(item_id="i", audio_end_ms=20, content_index=1)
    assert (type(found.audio_end_ms), type(found.content_index)) == (int, int)


def test_parts_and_items_of_unknown_types() -> None:
    """Parts and items of unknown types keep all their fields."""
    part, item = {"type": "smell", "of": "roses"}, {"type": "dream", "id": "i"}
    strange = {**item, "status": 5, "of": "roses"}

    assert build(events.ResponseContentPartAdded, {**PLACE, "part": part}).part == (
        events.UnknownPart(name="smell", fields=part)
    )
    assert build(events.ConversationItemAdded, {"item": strange}).item == (
        events.UnknownItem(name="dream", id="i", status=None, fields=strange)
    )


def test_a_configuration_without_its_type() -> None:
    """A configuration without a type counts as realtime."""
    found = build(events.SessionUpdated, {"session": {"model": "m"}})

    assert found.session == events.RealtimeSessionConfig(model="m")


def test_a_part_that_is_missing() -> None:
    """A missing part becomes an `UnknownPart` without a name."""
    found = build(events.ResponseContentPartAdded, PLACE)

    assert found.part == events.UnknownPart(name="")


def test_an_object_in_an_object() -> None:
    """A wrong value in a nested object counts as missing."""
    found = build(events.Error, {"error": {"message": "no", "param": 5}})

    assert found == events.Error(error=events.ErrorDetail(message="no"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, '{"a":1}'),
        (["x"], '["x"]'),
        ({}, "{}"),
        ([], "[]"),
    ],
)
@pytest.mark.parametrize(
    ("cls", "field"),
    [
        (events.FunctionCallItem, "arguments"),
        (events.FunctionCallOutputItem, "output"),
        (events.McpCallItem, "arguments"),
        (events.McpCallItem, "output"),
        (events.McpApprovalRequestItem, "arguments"),
        (events.ResponseFunctionCallArgumentsDone, "arguments"),
        (events.ResponseMcpCallArgumentsDone, "arguments"),
    ],
)
def test_json_in_place_of_its_text(cls: Any, field: str, value: Any, text: str) -> None:
    """Some services send arguments and outputs as objects: no call is lost for that."""
    assert getattr(build(cls, {"item_id": "i", field: value}), field) == text


def test_other_values_in_place_of_text_are_wrong() -> None:
    """A number is no JSON text, and the text of a message no object."""
    with pytest.raises(WrongType):
        build(events.McpCallItem, {"output": 5})
    with pytest.raises(WrongType):
        build(events.InputTextPart, {"text": {"a": 1}})


@pytest.mark.parametrize(
    ("value", "message"),
    [("no", "no"), (5, "5"), (["a"], '["a"]'), (True, "true"), (2.5, "2.5")],
)
@pytest.mark.parametrize(
    ("cls", "field", "made"),
    [
        (events.McpCallItem, "error", events.McpCallError),
        (events.Error, "error", events.ErrorDetail),
        (events.ResponseStatusDetails, "error", events.ResponseError),
    ],
)
def test_an_error_that_is_no_object(
    cls: Any, field: str, made: Any, value: Any, message: str
) -> None:
    """Its text is the message: the user is told why something failed."""
    assert getattr(build(cls, {field: value}), field) == made(message=message)


@pytest.mark.parametrize("value", [None, "", False, 0, []])
def test_an_error_that_says_nothing(value: Any) -> None:
    """It is no error."""
    assert build(events.McpCallItem, {"error": value}).error is None


@pytest.mark.parametrize("value", ["64", 6.5, True, [1]])
def test_a_count_of_a_wrong_type_is_impossible(value: Any) -> None:
    """It is not missing, because a missing count of cached tokens means none."""
    for given, made in ((value, -1), (None, None)):
        details = build(events.InputTokenDetails, {"cached_tokens": given})
        assert details.cached_tokens == made

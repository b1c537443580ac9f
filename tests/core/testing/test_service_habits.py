"""A habit of a service changes its frames, and not what happened in the session."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.core import fold
from duologue.core.testing import (
    Script,
    Turn,
    habits,
    records,
    script,
    scripts,
    to_records,
    with_habits,
)
from duologue.core.testing.service_habits import HABITS

CALLS = (("{}",), ('{"a":1}',))
PLAN = [
    Turn(("a ", "b"), ("c",), calls=CALLS, before_calls=("d",), aside=("e",)),
    Turn(("f",), ("g",), False, calls=CALLS, mcp="failed", typed_within="h"),
    Turn(("i",), ("j",), end="truncated"),
    Turn(("n",), ("o",), transcript="early", events=("reconnected",)),
    Turn(("k",), ("l",), calls=CALLS, before_calls=("m",), transcript="before"),
]
PLAIN = script(PLAN)
TRANSCRIBED = "conversation.item.input_audio_transcription"


def types(played: Script) -> list[str]:
    return [frame["type"] for frame in played.frames]


def of_type(played: Script, prefix: str) -> list[dict[str, Any]]:
    return [frame for frame in played.frames if frame["type"].startswith(prefix)]


def ids(played: Script, prefix: str, *keys: str) -> list[Any]:
    """A value at a path in each frame of a type; None if it is missing."""
    found: list[Any] = of_type(played, prefix)
    for key in keys:
        found = [None if it is None else it.get(key) for it in found]
    return found


def outputs(played: Script) -> list[dict[str, Any]]:
    """The items in every ``response.done``."""
    done = ids(played, "response.done", "response", "output")
    return [item for output in done for item in output]


@pytest.mark.parametrize("name", HABITS)
def test_a_habit_changes_a_copy(name: str) -> None:
    """Each habit changes frames, but not those of its argument."""
    before = repr(PLAIN)
    other = with_habits(PLAIN, [name])

    assert repr(PLAIN) == before
    assert other.frames != PLAIN.frames
    assert other.habits == (name,)


@pytest.mark.parametrize("name", HABITS)
def test_only_three_habits_change_what_is_expected(name: str) -> None:
    """Words and calls are expected unless no frame shows them any more."""
    other = with_habits(PLAIN, [name])
    said = [line.text for line in other.lines]
    called = [call.arguments for call in other.calls]

    if name == "requests_ignored":
        # The answers to the typed turn, and to the outputs of functions.
        assert said == ["a b", "d", "f", "h", "i", "j", "n", "o", "k", "m"]
        assert called == ["{}", '{"a":1}'] * 2
    elif name == "no_echo":
        assert said == ["a b", "d", "c", "g", "i", "j", "n", "o", "k", "m", "l"]
        assert called == ["{}", '{"a":1}'] * 3
    elif name == "no_call_ids":
        # No output can be sent, so such a call is not run.
        assert called == []
    else:
        assert said == [line.text for line in PLAIN.lines]
        assert called == [call.arguments for call in PLAIN.calls]


def test_requests_are_ignored() -> None:
    """No response follows a request; responses to spoken turns remain."""
    other = with_habits(PLAIN, ["requests_ignored"])
    created = ids(other, "response.created", "response", "conversation_id")

    assert types(other).count("response.create") == 5
    assert created.count(None) == 1
    assert len(created) == 5


def test_no_echo() -> None:
    """The service shows its own items only."""
    other = with_habits(PLAIN, ["no_echo"])
    restoring = types(other).index("duologue.disconnected")
    first = attrs.evolve(other, frames=other.frames[:restoring])
    later = attrs.evolve(other, frames=other.frames[restoring:])
    for part in (first, later):
        created = set(ids(part, "conversation.item.create", "item", "id"))
        assert created
        assert not created & {*ids(part, "conversation.item.added", "item", "id")}
        assert ids(part, "conversation.item.added", "item", "id")


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("no_updated", "session.updated"),
        ("no_truncated", "conversation.item.truncated"),
        ("update_refused", "session.updated"),
    ],
)
def test_no_confirmation(name: str, gone: str) -> None:
    """The confirmations are missing; for a refused update there is an error."""
    other = with_habits(PLAIN, [name])

    assert gone in types(PLAIN)
    assert gone not in types(other)
    refused = ids(other, "error", "error", "event_id")
    if name == "update_refused":
        assert refused == ids(other, "session.update", "event_id")
    else:
        assert not refused


@pytest.mark.parametrize(
    ("name", "type", "count"),
    [("output_refused", "function_call_output", 3), ("item_refused", "message", 1)],
)
def test_an_item_is_refused(name: str, type: str, count: int) -> None:
    """An error names the event that created the item, and no copy follows."""
    other = with_habits(PLAIN, [name])
    refused = ids(other, "error", "error", "event_id")
    items = [
        frame["item"]
        for frame in of_type(other, "conversation.item.create")
        if frame.get("event_id") in refused
    ]

    assert [item["type"] for item in items] == [type] * count == [type] * len(refused)
    last = types(other).index("error")
    copied = [f["item"]["id"] for f in other.frames[last:] if "item" in f]
    assert items[0]["id"] not in copied


def test_a_field_is_refused() -> None:
    """The service keeps another value of a field."""
    other = with_habits(PLAIN, ["field_refused"])
    all_values = ids(other, "session.update", "session", "instructions")

    assert all_values == ["Be brief.", "Be helpful."] * 2


def test_items_are_listed_in_done_only() -> None:
    """An item without an event is in ``response.done``; interrupted ones are not."""
    plan = [
        Turn(("a",), ("b",), False, calls=CALLS),
        Turn(("c",), ("d",), mcp="failed"),
    ]
    other = with_habits(script(plan), ["listed_in_done"])
    found = ids(other, "response.output_item.added", "item", "type")

    assert found == ["mcp_call", "message"]
    assert [item["type"] for item in outputs(other)] == [
        *("function_call", "function_call", "message", "mcp_call", "message"),
    ]
    # The user types, or begins to speak, during these answers.
    for busy in (
        [Turn(("a",), ("b",), typed_within="c")],
        [Turn(("a",), ("b",), end="truncated"), Turn(("c",), ("d",), end="failed")],
    ):
        kept = with_habits(script(busy), ["listed_in_done"])
        assert "response.output_item.added" in types(kept)


def test_nothing_is_announced() -> None:
    """Texts and arguments are the only events of messages and calls."""
    other = with_habits(PLAIN, ["no_announcements"])

    assert {item["type"] for item in outputs(other)} == {"mcp_call"}
    assert not of_type(other, "response.content_part.")
    assert {*ids(other, "response.output_item.done", "item", "type")} == {"mcp_call"}
    assert of_type(other, "response.function_call_arguments.done")


def test_the_items_of_a_response_share_an_id() -> None:
    """Words and calls have one id."""
    other = with_habits(PLAIN, ["item_ids_shared"])
    first = ids(other, "response.done", "response", "output")[0]

    assert [item["type"] for item in first] == ["message", *["function_call"] * 2]
    assert len({item["id"] for item in first}) == 1


def test_the_service_names_the_items() -> None:
    """The copies of the client's items have ids that it did not choose."""
    other = with_habits(PLAIN, ["item_ids_own"])
    wanted = ids(other, "conversation.item.create", "item", "id")
    found = ids(other, "conversation.item.added", "item", "id")

    # The client restores the items under the ids that they had first.
    shown = [line.item_id for line in other.lines if line.item_id in found]
    own = [item_id for item_id in shown if "_own_" in item_id]
    assert [item_id for item_id in wanted if item_id in own] == own
    assert len(own) == 2


@pytest.mark.parametrize(
    ("name", "type", "path", "first"),
    [
        ("response_ids_again", "response.created", ("response", "id"), "resp_1"),
        ("one_response_id", "response.created", ("response", "id"), "resp_1"),
        ("item_ids_again", "input_audio_buffer.committed", ("item_id",), "item_1"),
        (
            "item_ids_per_response",
            "response.output_item.added",
            ("item", "id"),
            "item_1",
        ),
        (
            "call_ids_again",
            "response.function_call_arguments.done",
            ("call_id",),
            "call_1",
        ),
        (
            "call_ids_per_response",
            "response.function_call_arguments.done",
            ("call_id",),
            "call_1",
        ),
    ],
)
def test_ids_are_used_again(
    name: str, type: str, path: tuple[str, ...], first: str
) -> None:
    """An id is used by several, and by no two at the same time."""
    found = ids(with_habits(PLAIN, [name]), type, *path)

    assert found.count(first) > 1
    assert len({*ids(PLAIN, type, *path)}) == len(found)


@given(scripts(turns=3, habits=st.just(frozenset({"one_response_id"}))))
def test_an_id_has_one_owner_at_a_time(played: Script) -> None:
    """A response begins with an id only after the last one with that id has ended."""
    running = set[str]()
    for frame in played.frames:
        if frame["type"] == "response.created":
            assert frame["response"]["id"] not in running
            running.add(frame["response"]["id"])
        elif frame["type"] == "response.done":
            running.remove(frame["response"]["id"])


def test_restored_items_with_ambiguous_ids_are_left_out() -> None:
    """On a third connection, the client restores no item whose id two items have."""
    turn = Turn(("a",), ("b",), events=("reconnected",))
    played = with_habits(script([turn] * 3), ["item_ids_again"])
    restored = ids(played, "conversation.item.create", "item", "id")

    assert restored == ["item_1", "item_2"]


def test_fields_are_missing() -> None:
    """The ids and fields of the habit's name are missing."""
    without = {name: with_habits(PLAIN, [name]) for name in HABITS}
    done = "response.done"

    assert {*ids(without["no_response_ids"], done, "response", "id")} == {None}
    assert {*ids(without["no_response_ids"], "response.output", "response_id")} == {
        None
    }
    calls = without["no_call_ids"]
    assert {*ids(calls, "response.function_call", "call_id")} == {None}
    assert not any("call_id" in item for item in outputs(calls))
    assert "function_call_output" not in repr(calls.frames)
    assert not any("id" in item for item in outputs(without["no_output_ids"]))
    added = "conversation.item.added"
    assert {*ids(without["null_predecessors"], added, "previous_item_id")} == {None}
    assert "previous_item_id" in of_type(without["null_predecessors"], added)[0]
    assert "previous_item_id" not in of_type(without["no_predecessors"], added)[0]
    no_conversation = without["no_conversation"]
    assert {*ids(no_conversation, done, "response", "conversation_id")} == {None}
    assert "conversation_id" not in of_type(no_conversation, done)[0]["response"]
    assert {*ids(without["no_usage"], done, "response", "usage")} == {None}
    for name, key in [
        ("no_totals", "total_tokens"),
        ("no_split", "input_token_details"),
        ("no_cached_split", "cached_tokens_details"),
    ]:
        assert key not in repr(without[name].frames)
        assert "input_tokens" in repr(without[name].frames)


def test_calls_that_share_an_item_keep_their_ids() -> None:
    """Without ids, two calls under one item id could not be told apart."""
    played = with_habits(PLAIN, ["no_call_ids", "item_ids_shared"])

    assert None not in ids(played, "response.function_call", "call_id")


def test_an_item_without_any_id() -> None:
    """``response.done`` alone has the item; no event names it, before or later."""
    plan = [Turn(("a",), ("b",), end="truncated"), Turn(("c",), ("d",), False)]
    plan += [Turn(("e",), ("f",), events=("retrieved", "reconnected"))]
    both = ["listed_in_done", "no_output_ids"]
    other = with_habits(script(plan), both)
    [hidden] = [item for item in outputs(other) if "id" not in item]

    assert hidden["content"][0]["transcript"] == "d"
    following = of_type(other, "conversation.item.added")[-1]
    assert "previous_item_id" in following
    texts = [
        item["content"][0]["text"]
        for item in ids(other, "conversation.item.create", "item")
    ]
    assert texts == ["c", "a", "b", "c", "e", "f"]


def test_partial_texts_have_growing_indexes() -> None:
    """Each partial text is the whole text so far; the final one has index 0."""
    played = with_habits(PLAIN, ["growing_indexes"])
    deltas = of_type(played, f"{TRANSCRIBED}.delta")
    [final, *_] = of_type(played, f"{TRANSCRIBED}.completed")

    assert [(it["content_index"], it["delta"]) for it in deltas[:2]] == [
        (0, "a "),
        (1, "a b"),
    ]
    assert (final["content_index"], final["transcript"]) == (0, "a b")
    # No final text follows: the deltas are as usual.
    failed = script([Turn(("a ", "b"), ("c",), transcript="failed")])
    assert with_habits(failed, ["growing_indexes"]).frames == failed.frames


def test_other_forms() -> None:
    """Errors as text, and other names of events."""
    error = with_habits(PLAIN, ["mcp_error_text"])
    names = types(with_habits(PLAIN, ["short_names"]))

    assert [it["error"] for it in outputs(error) if "error" in it] == ["no"]
    assert {"response.audio.delta", "response.audio_transcript.done"} <= {*names}
    assert "input_audio_transcription.delta" in names
    assert not any(name.startswith("response.output_audio") for name in names)


@given(scripts(turns=3, habits=habits()))
def test_predecessors_are_known(played: Script) -> None:
    """An item is never behind one that was removed."""
    named = set[Any]({None, "root"})
    for frame in played.frames:
        item = frame.get("item", {})
        named |= {frame.get("item_id"), item.get("id")}
        named |= {it.get("id") for it in frame.get("response", {}).get("output", ())}
        assert frame.get("previous_item_id") in named


@settings(max_examples=50)
@given(records(turns=2, sessions=2, habits=habits("no_echo", most=1)))
def test_streams_have_habits(stream: Any) -> None:
    """A strategy of streams takes a strategy of habits."""
    for session in fold(stream).sessions.values():
        assert session.dedup.malformed == 0


@settings(max_examples=50)
@given(scripts(turns=2, habits=habits()))
def test_the_frames_are_valid(played: Script) -> None:
    """The frames of every habit are valid events of the service."""
    dedup = fold(to_records(played.frames)).sessions["s"].dedup

    assert dedup.malformed == 0


def test_an_unknown_habit_is_an_error() -> None:
    """The error names the habit and the known ones."""
    with pytest.raises(ValueError, match=r"^no such habit: lazy; there are requests_"):
        with_habits(PLAIN, ["lazy", "no_echo"])


def test_the_docstring_is_complete() -> None:
    """The docstring of `with_habits` lists every habit."""
    assert all(f"``{name}``" in str(with_habits.__doc__) for name in HABITS)

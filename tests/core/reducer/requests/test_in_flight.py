"""Requested responses: queued, in flight, answered."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record, Session
from duologue.core.reducer.requests.in_flight import (
    MAX_WITHDRAWN,
    clear_in_flight,
    fail_messages,
    requeue_answered,
)
from duologue.core.state.model import CallLink, ConfigChange, UnconfirmedItem

from ...talk import Frame, changed, to_record
from .records import (
    AGAIN_OPEN,
    CREATE,
    INTERRUPTED,
    LOST,
    OPEN,
    created,
    failed,
    out,
    session_after,
    wished,
)

ITEM: Frame = {"type": "function_call_output", "call_id": "c", "output": "1"}
ASIDE: Frame = {
    "type": "response.create",
    "event_id": "c2",
    "response": {"conversation": "none"},
}


def state_of(*records: Record) -> tuple[str | None, bool]:
    responses = session_after(*records).responses
    return responses.queued, responses.in_flight is not None


WISH = '{"event_id":"c1","type":"response.create"}'
AGAIN = '{"type":"response.create"}'
ACTIVE = "conversation_already_has_active_response"
BUSY = failed(code=ACTIVE)
LEFT = to_record({"type": "duologue.disconnected", "expected": True})
DONE = to_record(
    {"type": "response.done", "response": {"id": "r", "conversation_id": "c"}}
)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([wished(CREATE)], (WISH, False)),
        ([wished(CREATE), wished(CREATE)], (WISH, False)),
        ([wished(CREATE), out(CREATE)], (None, True)),
        ([out(CREATE), out(CREATE)], (None, True)),
        ([wished(ASIDE)], (None, False)),
        ([wished(CREATE), out(ASIDE)], (WISH, False)),
        ([wished({"type": "input_audio_buffer.clear"})], (None, False)),
        ([to_record(CREATE)], (None, False)),
        ([out(CREATE), created()], (None, False)),
        (
            [created(), DONE, out(CREATE), created(id="o", conversation_id=None)],
            (None, True),
        ),
        ([out(CREATE), DONE], (None, False)),
        ([out(CREATE), created(), out(CREATE), DONE], (None, True)),
        ([out(CREATE), failed(event_id="c1")], (None, False)),
        ([out(CREATE), out(ASIDE), failed(event_id="c2")], (None, True)),
        ([out(CREATE), failed(event_id="?")], (None, True)),
        ([out(CREATE), failed(code="bad_response_create")], (None, False)),
        ([out(CREATE), failed(code="invalid_value")], (None, True)),
        # The connection was lost before the response.
        ([out(CREATE), LOST], (AGAIN, False)),
        ([out(CREATE), created(), LOST], (None, False)),
        ([out(CREATE), wished(CREATE), LOST], (WISH, False)),
        ([out(CREATE), LEFT], (None, False)),
        # The service began a response of its own first.
        ([out(CREATE), created(), out(CREATE), BUSY], (AGAIN, False)),
        ([created(), out(CREATE), BUSY, DONE], (AGAIN, False)),
        ([created(), out(CREATE), wished(CREATE), BUSY], (WISH, False)),
        ([created(), out(ASIDE), failed(event_id="c2", code=ACTIVE)], (None, False)),
        # Also if the active response is not known.
        ([out(CREATE), BUSY], (AGAIN, False)),
        ([out(CREATE), BUSY, BUSY, out(CREATE), BUSY], (AGAIN, False)),
        ([out(CREATE), BUSY, out(CREATE), BUSY, out(CREATE), BUSY], (None, False)),
        (
            [out(CREATE), to_record({"type": "duologue.connected"}, epoch=1)],
            (AGAIN, False),
        ),
    ],
)
def test_a_response_wished_for(records: list[Record], expected: Any) -> None:
    """A request is queued, in flight once sent, and answered or lost."""
    assert expected == state_of(*records)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "session.update"},
        {"type": "session.update", "session": 5},
        {"type": "conversation.item.create"},
        {"type": "conversation.item.create", "item": {"type": "message"}},
        {"type": "conversation.item.create", "item": {"id": "i"}, "event_id": 5},
    ],
)
def test_wishes_for_nothing(event: Frame) -> None:
    """A request without a valid event changes nothing."""
    assert changed(Session("s"), session_after(wished(event))) == []


def test_a_change_that_was_requested() -> None:
    """It is kept until it is answered, and merged into the configuration."""
    config = {"voice": "x"}
    session = session_after(wished({"type": "session.update", "session": config}))

    assert session.connection.requested == '{"voice":"x"}'
    assert session.connection.changes == (ConfigChange('{"voice":"x"}'),)


def test_an_item_that_was_requested() -> None:
    """It is kept until it is confirmed, and counted; its call needs no other output."""
    item: Frame = {"type": "function_call", "id": "i", "call_id": "c"}
    create: Frame = {"type": "conversation.item.create", "event_id": "e"}
    conversation = session_after(wished({**create, "item": item})).conversation
    event = (
        '{"event_id":"e","item":{"call_id":"c","id":"i","type":"function_call"},'
        '"type":"conversation.item.create"}'
    )

    assert conversation.unconfirmed == (UnconfirmedItem("i", "e", event, sent=False),)
    assert conversation.requested == 1
    assert dict(conversation.calls) == {"c": CallLink(call_sent=True)}


def test_an_answer_to_nothing() -> None:
    """Without a request in flight or answered, the session stays the same object."""
    session = Session("s")

    assert session is clear_in_flight(session)
    assert session is requeue_answered(session)


def asked(item_id: str) -> Record:
    """A request for the answer to a message."""
    fact: Frame = {"type": "duologue.requested", "event": CREATE, "item_id": item_id}
    return to_record(fact)


@pytest.mark.parametrize(
    ("records", "queued", "in_flight"),
    [
        ([asked("a")], "a", ""),
        ([asked("a"), asked("b")], "ab", ""),
        ([asked("a"), wished(CREATE)], "a", ""),
        ([asked("a"), out(CREATE)], "", "a"),
        ([asked("a"), out(CREATE), asked("b")], "b", "a"),
        ([asked("a"), out(CREATE), asked("b"), out(CREATE)], "", "ab"),
        ([asked("a"), out(CREATE), asked("b"), created()], "b", ""),
        ([asked("a"), out(CREATE), failed(event_id="c1")], "", ""),
        ([asked("a"), out(CREATE), asked("b"), LOST], "ab", ""),
        ([created(), asked("a"), out(CREATE), BUSY], "a", ""),
        ([asked("a"), out(CREATE), BUSY], "a", ""),
    ],
)
def test_the_messages_that_a_request_answers(
    records: list[Record], queued: str, in_flight: str
) -> None:
    """They are queued, sent and queued again with it; a refusal drops them."""
    responses = session_after(*records).responses

    assert responses.queued_items == tuple(queued)
    assert responses.in_flight_items == tuple(in_flight)


SPEAKS = to_record({"type": "input_audio_buffer.speech_started", "item_id": "u"})
STOPS = to_record({"type": "input_audio_buffer.speech_stopped", "item_id": "u"})
PLAYS = to_record({"type": "output_audio_buffer.started", "response_id": "r"})


@pytest.mark.parametrize(
    ("records", "queued", "in_flight", "cancelling", "dismissed", "stopping"),
    [
        ([OPEN], False, False, False, None, []),
        # Its command may have been returned: `Machine` drops it.
        ([OPEN, asked("a")], False, False, False, None, []),
        ([OPEN, out(CREATE)], False, True, True, None, []),
        # Not sent yet: there is no connection, a response, or a turn of the user.
        ([asked("a")], False, False, False, None, []),
        ([OPEN, created(), asked("a")], False, False, False, None, [True]),
        ([OPEN, SPEAKS, asked("a")], False, False, False, None, []),
        ([OPEN, SPEAKS, STOPS, asked("a")], False, False, False, "u", []),
        ([OPEN, created(), PLAYS, DONE], False, False, False, None, [True]),
        ([OPEN, created(), PLAYS, INTERRUPTED], False, False, False, None, [True]),
        # Both what is in progress and the next response.
        ([OPEN, created(), out(CREATE)], False, True, True, None, [True]),
        ([OPEN, out(CREATE), asked("a"), INTERRUPTED], False, True, True, None, []),
    ],
)
def test_an_interruption(
    records: list[Record],
    queued: bool,
    in_flight: bool,
    cancelling: bool,
    dismissed: str | None,
    stopping: list[bool],
) -> None:
    """It withdraws what is queued and marks what is in flight or in progress."""
    responses = session_after(*records, INTERRUPTED).responses

    assert (responses.queued is not None, responses.in_flight is not None) == (
        queued,
        in_flight,
    )
    assert (responses.cancelling, responses.dismissed_item) == (cancelling, dismissed)
    assert [each.stopping for each in responses.by_id.values()] == stopping


SENT = out({"type": "conversation.item.create", "item": {**ITEM, "id": "o"}})
OUTPUT = to_record({"type": "conversation.item.added", "item": {**ITEM, "id": "o"}})


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], ""),
        ([asked("a")], "a"),
        ([asked("a"), asked("b"), INTERRUPTED, asked("c")], "abc"),
        ([asked("a"), out(CREATE)], ""),
        ([asked("a"), out(CREATE), created()], ""),
        # A function output that waits for its answer.
        ([SENT, OUTPUT], "o"),
        ([SENT, OUTPUT, out(CREATE)], ""),
        # Its answer was queued again.
        ([SENT, OUTPUT, out(CREATE), *AGAIN_OPEN], "o"),
        ([SENT, OUTPUT, out(CREATE), BUSY], "o"),
        # It was to be cancelled, and is not queued again.
        ([asked("a"), out(CREATE), INTERRUPTED, LOST], "a"),
    ],
)
def test_the_messages_whose_request_is_withdrawn(
    records: list[Record], expected: str
) -> None:
    """They are kept, because their reply was interrupted."""
    session = session_after(OPEN, *records, INTERRUPTED)

    assert session.responses.withdrawn == tuple(expected)
    assert session.conversation.last_output is None


def test_only_so_many_withdrawn_messages_are_kept() -> None:
    """The last ones are kept."""
    many = [asked(str(n)) for n in range(MAX_WITHDRAWN + 5)]
    withdrawn = session_after(OPEN, *many, INTERRUPTED).responses.withdrawn

    assert withdrawn == tuple(str(n) for n in range(5, MAX_WITHDRAWN + 5))


OURS = failed(code=ACTIVE, event_id="c1")
OTHER_DONE = to_record(
    {"type": "response.done", "response": {"id": "r", "conversation_id": "c"}}
)


@pytest.mark.parametrize(
    ("records", "queued", "withdrawn"),
    [
        # Another client, or the service, began a response before ours was refused.
        ([OURS], "a", ""),
        ([BUSY], "a", ""),
        ([failed(code="other", type=ACTIVE)], "a", ""),
        ([asked("b"), OURS], "ab", ""),
        ([INTERRUPTED, OURS], "", "a"),
        # These do not refuse it.
        ([failed(code=ACTIVE, event_id="?")], "", ""),
        ([failed(code="invalid_value", event_id="c1")], "", ""),
        ([OURS, OURS], "a", ""),
        ([OTHER_DONE, OURS], "", ""),
    ],
)
def test_a_request_that_is_refused_after_another_response_began(
    records: list[Record], queued: str, withdrawn: str
) -> None:
    """It is queued again, and that response does not answer its messages."""
    session = session_after(OPEN, asked("a"), out(CREATE), created(), *records)
    responses = session.responses
    answers = responses.by_id["r"].answers

    assert responses.queued_items == tuple(queued)
    assert (responses.queued is not None) == bool(queued)
    assert responses.withdrawn == tuple(withdrawn)
    assert answers == (() if queued or withdrawn else ("a",))


def test_a_message_that_fails_while_its_response_runs() -> None:
    """The response answers the other messages only."""
    session = session_after(OPEN, asked("a"), asked("b"), out(CREATE), created())
    failing = fail_messages(session, ("a",), "no")

    assert session.responses.by_id["r"].answers == ("a", "b")
    assert failing.responses.by_id["r"].answers == ("b",)
    assert failing.responses.failed == (("a", "no"),)
    assert fail_messages(session, (), "no") is session


@pytest.mark.parametrize("end", [LEFT, to_record({"type": "duologue.closed"})])
def test_a_closed_session_has_no_request(end: Record) -> None:
    """It asks for nothing if it is continued later."""
    session = session_after(OPEN, created(), asked("a"), SENT, OUTPUT, end)

    assert (session.responses.queued, session.responses.queued_items) == (None, ())
    assert session.conversation.last_output is None


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([out(CREATE)], (True, True)),
        ([out(CREATE), out(CREATE)], (True, True)),
        # The command was returned, and carried out after the interruption.
        ([asked("a"), out(CREATE)], (True, True)),
        # Another request followed, or another response.
        ([asked("a"), asked("b"), out(CREATE)], (True, False)),
        ([asked("a"), SENT, OUTPUT, out(CREATE)], (True, False)),
        ([asked("a"), created(), out(CREATE)], (True, False)),
        ([out(CREATE), failed(event_id="c1")], (False, False)),
        ([out(CREATE), LOST], (False, False)),
        ([out(CREATE), failed(event_id="c1"), out(CREATE)], (True, False)),
        ([STOPS, out(CREATE)], (True, False)),
    ],
)
def test_what_follows_an_interruption(
    records: list[Record], expected: tuple[bool, bool]
) -> None:
    """Only requests in flight then are cancelled; they are not queued again."""
    first, *rest = records
    responses = session_after(OPEN, first, INTERRUPTED, *rest).responses

    assert (responses.in_flight is not None, responses.cancelling) == expected
    assert responses.queued is None
    assert responses.dismissed_item is None


def test_a_request_ends_the_wait_for_outputs() -> None:
    """It answers the outputs so far, even if it is refused."""
    item: Frame = {"type": "function_call_output", "call_id": "c", "output": "1"}
    frame: Frame = {"type": "conversation.item.create", "item": {**item, "id": "o"}}
    sent = [out(frame), to_record({**frame, "type": "conversation.item.added"})]
    ends = [out(CREATE), failed(event_id="c1")]

    assert session_after(*sent).conversation.last_output == "o"
    assert session_after(*sent, *ends).conversation.last_output is None


@pytest.mark.parametrize(
    ("item", "link"),
    [
        ({"type": "function_call"}, CallLink(call_sent=True)),
        ({"type": "message"}, None),
        # The output of an unknown call; an item that the session has.
        ({"type": "function_call_output"}, None),
        ({"type": "function_call", "id": "known"}, CallLink("known")),
        ({"type": "function_call", "call_id": 5}, None),
    ],
)
def test_a_requested_item_and_its_call(item: Frame, link: CallLink | None) -> None:
    """A call of a history is known as such as soon as it is requested."""
    known: Frame = {"id": "known", "type": "function_call", "call_id": "c"}
    known = {"type": "conversation.item.added", "item": known}
    item = {"id": "i", "call_id": "c", **item}
    request = wished({"type": "conversation.item.create", "item": item})
    before = [to_record(known)] if item["id"] == "known" else []
    calls = session_after(OPEN, *before, request).conversation.calls
    assert dict(calls) == ({} if link is None else {"c": link})


def test_a_requested_output_and_its_call() -> None:
    """It is the same output when it is sent."""
    known: Frame = {"id": "i", "type": "function_call", "call_id": "c"}
    added = to_record({"type": "conversation.item.added", "item": known})
    item = {**ITEM, "id": "o"}
    event = {"type": "conversation.item.create", "event_id": "e", "item": item}
    link = CallLink("i", output_sent=True, output_event="e")
    for records in ([wished(event)], [wished(event), out(event)]):
        calls = session_after(OPEN, added, *records).conversation.calls
        assert dict(calls) == {"c": link}

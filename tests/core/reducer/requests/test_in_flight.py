"""Requested responses: queued, in flight, answered."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record, Session
from duologue.core.reducer.requests.in_flight import clear_in_flight

from ...talk import Frame, changed, to_record
from .records import (
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
        ([out(CREATE), created(conversation_id=None)], (None, True)),
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
        # No response is known to be active: a retry would be refused again and again.
        ([out(CREATE), BUSY], (None, False)),
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
    "event", [{}, {"type": "session.update"}, {"type": "session.update", "session": 5}]
)
def test_wishes_for_nothing(event: Frame) -> None:
    """A request without a valid event changes nothing."""
    assert changed(Session("s"), session_after(wished(event))) == []


def test_an_answer_to_nothing() -> None:
    """Without a request in flight, the session stays the same object."""
    session = Session("s")

    assert session is clear_in_flight(session)


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
        # The command to send the request was given, so it counts as sent.
        ([OPEN, asked("a")], False, True, True, None, []),
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


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([out(CREATE)], (True, True)),
        ([out(CREATE), out(CREATE)], (True, True)),
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

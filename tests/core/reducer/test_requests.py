"""Requests of the application: queued, in flight, acknowledged or refused."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Problem, Record, Session, fold
from duologue.core.reducer.requests import MAX_SENT, clear_in_flight
from duologue.core.state.model import SentEvent

from ..talk import Frame, changed, to_record

CREATE: Frame = {"type": "response.create", "event_id": "c1"}
ASIDE: Frame = {
    "type": "response.create",
    "event_id": "c2",
    "response": {"conversation": "none"},
}


def out(frame: Frame, **how: Any) -> Record:
    return to_record(frame, dir="out", **how)


def wished(event: Frame) -> Record:
    return to_record({"type": "duologue.requested", "event": event})


def failed(**error: Any) -> Record:
    return to_record({"type": "error", "error": error})


def created(**response: Any) -> Record:
    response = {"id": "r", "conversation_id": "c", **response}
    return to_record({"type": "response.created", "response": response})


def session_after(*records: Record) -> Session:
    return fold(records).sessions["s"]


def state_of(*records: Record) -> tuple[str | None, bool]:
    responses = session_after(*records).responses
    return responses.queued, responses.in_flight is not None


WISH = '{"event_id":"c1","type":"response.create"}'
AGAIN = '{"type":"response.create"}'
ACTIVE = "conversation_already_has_active_response"
BUSY = failed(code=ACTIVE)
LOST = to_record({"type": "duologue.disconnected"})
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
    "config", [{"type": "realtime", "voice": "x"}, {"type": "translation"}]
)
def test_the_configuration_that_went_out(config: Frame) -> None:
    """A sent configuration is the requested one, even if it was not queued."""
    update = {"type": "session.update", "session": config}
    sent = session_after(out(update)).connection.requested

    assert session_after(out(update), wished(update)).connection.requested is not None
    assert sent is not None
    assert '"type":"' in sent


def test_a_change_of_the_configuration() -> None:
    """A change is merged into the requested configuration; other settings stay."""
    update = {"type": "session.update", "session": {"voice": "x", "tools": [1]}}
    change = {"type": "session.update", "session": {"tools": [], "model": "m"}}

    assert session_after(wished(update), out(change)).connection.requested == (
        '{"model":"m","tools":[],"type":"realtime","voice":"x"}'
    )


def test_a_wish_is_kept_in_one_spelling() -> None:
    """It is kept as canonical JSON, so live and replayed states are equal."""
    one = {"type": "session.update", "session": {"b": 1, "a": {"d": 2, "c": 3}}}

    assert session_after(wished(one)).connection.requested == (
        '{"a":{"c":3,"d":2},"b":1}'
    )


@pytest.mark.parametrize(
    "event", [{}, {"type": "session.update"}, {"type": "session.update", "session": 5}]
)
def test_wishes_for_nothing(event: Frame) -> None:
    """A request without a valid event changes nothing."""
    assert changed(Session("s"), session_after(wished(event))) == []


def test_an_error_is_traced_to_what_we_sent() -> None:
    """The event id in the error gives the type of the sent event, its `origin`."""
    delete = {"type": "conversation.item.delete", "item_id": "i", "event_id": "e1"}
    session = session_after(out(delete), failed(message="m", code="c", event_id="e1"))

    assert session.problems == (
        Problem(
            "error",
            "m",
            "c",
            at=0.0,
            event_id="e1",
            origin="conversation.item.delete",
        ),
    )


def test_an_error_that_names_something_else() -> None:
    """An unknown event id is kept, without an `origin`."""
    (problem,) = session_after(failed(event_id="?")).problems

    assert (problem.event_id, problem.origin) == ("?", None)


def test_what_was_sent_is_bookkeeping() -> None:
    """The last 64 event ids are kept in the dedup node, except those of audio."""
    append = {"type": "input_audio_buffer.append", "audio": "", "event_id": "a"}
    cancel: Frame = {"type": "response.cancel"}
    many = [out({**cancel, "event_id": f"e{n}"}) for n in range(200)]
    session = session_after(out(append), out(cancel), *many)

    assert session.dedup.sent == tuple(
        SentEvent(f"e{n}", "response.cancel") for n in range(200 - MAX_SENT, 200)
    )
    assert changed(Session("s"), session) == []


@pytest.mark.parametrize(("at", "expected"), [(7.0, 7.0), (None, 9.0)])
def test_an_expired_session(at: float | None, expected: float) -> None:
    """The error sets `expires_at` to its own time, if it has one."""
    greeting = {"type": "session.created", "session": {"expires_at": 9}}
    error = {"type": "error", "error": {"code": "session_expired"}}
    session = session_after(to_record(greeting), to_record(error, at=at))

    assert expected == session.connection.expires_at


def test_an_answer_to_nothing() -> None:
    """Without a request in flight, the session stays the same object."""
    session = Session("s")

    assert session is clear_in_flight(session)
